import { count } from '../plural';
import type { settings as english } from '../en/settings';

export const settings: typeof english = {
  settings: {
    title: 'Einstellungen',
    configDir: 'Konfigurationsordner',
    configDirHelp: 'Der Ordner mit deinen YAML-Dateien von ESPHome.',
    apply: 'Diesen Ordner verwenden',
    candidateDevices: (n) => count(n, 'Gerät', 'Geräte'),
    esphome: 'ESPHome',
    esphomeHelp: 'Es baut die Firmware.',
    esphomeChoices: {
      automatic: { name: 'Automatisch', help: 'Das auf diesem Rechner installierte.' },
      own: { name: 'Das von Wakeflash', help: 'An einem eigenen Ort. Nichts sonst wird berührt.' },
      path: { name: 'Ein anderer Pfad', help: '' },
    },
    esphomeAt: (path) => `Automatisch gefunden: ${path}`,
    esphomeStill: (version) => `Solange wird ESPHome ${version} verwendet.`,
    esphomePath: 'Pfad des Programms esphome',
    esphomeReady: (version) => `ESPHome ${version}`,
    esphomeSearching: 'Sucht ESPHome …',
    esphomeApply: 'Diesen Pfad verwenden',
    esphomeUpgrade: 'Eigenes ESPHome von Wakeflash installieren oder aktualisieren',
    changed: 'Wenn sich Dateien ändern, während ein Update wartet',
    changedHelp: 'Dein YAML, was es einbindet, und die Secrets, die es verwendet.',
    changedSources: {
      hold: {
        name: 'Zurückhalten und fragen',
        help: 'Das Update bleibt, und nichts wird geflasht, bis du entscheidest.',
      },
      rebuild: { name: 'Neu bauen', help: 'Das Gerät bekommt, was die Dateien jetzt sagen.' },
      flash: {
        name: 'Flashen wie gebaut',
        help: 'Das Gerät bekommt die Firmware ohne die Änderungen.',
      },
    },
    notifications: 'Benachrichtigungen',
    notificationsHelp: 'Auf dem Desktop. Eine je Ergebnis, keine für Versuche.',
    notify: {
      installed: { name: 'Installiert', help: 'Ein Update ist angekommen und läuft.' },
      failed: {
        name: 'Fehlgeschlagen oder zurückgekehrt',
        help: 'Ein Update endete ohne Erfolg.',
      },
      held: { name: 'Zurückgehalten', help: 'Dateien haben sich beim Warten geändert.' },
      overdue: {
        name: 'Überfällig',
        help: 'Ein Gerät, auf das gewartet wird, müsste aufgewacht sein. Einmal am Tag.',
      },
    },
    notificationsAbsent: 'Dieser Desktop zeigt keine Benachrichtigungen.',
    notificationsPlain: 'Dieser Desktop zeigt Benachrichtigungen ohne Schaltflächen.',
    cache: 'Gemeinsamer Compiler-Cache',
    cacheApply: 'Speichern',
    cacheHelp:
      'Wo ccache aufhebt, was kompiliert wurde, für alle Rechner, die bauen: ein HTTP- oder Redis-Server.',
    work: 'Builds und Übertragungen',
    maxBuilds: 'Gleichzeitige Builds',
    maxBuildsHelp: 'Mehr als einer braucht Speicher und einen schnellen Rechner.',
    maxFlashes: 'Gleichzeitige Übertragungen',
    maxFlashesHelp: 'Wie viele Geräte zugleich geflasht werden.',
    general: 'Allgemein',
    startAtLogin: 'Bei der Anmeldung starten',
    startAtLoginHelp: 'Im Infobereich, ohne Fenster.',
    startAtLoginBare:
      'Ohne Fenster. Dieser Desktop hat keinen Infobereich: Ein zweiter Start zeigt das Fenster.',
    appearance: 'Darstellung',
    theme: 'Design',
    themes: { system: 'System', light: 'Hell', dark: 'Dunkel' },
    language: 'Sprache',
    languages: { system: 'System', en: 'English', de: 'Deutsch' },
    diagnostics: 'Diagnose',
    diagnosticsHelp:
      'Für eine Frage oder eine Fehlermeldung. Der Bericht enthält keine Passwörter und keine Schlüssel.',
    copyReport: 'Bericht kopieren',
    about: 'Über',
    version: (version) => `Wakeflash ${version}`,
    licence: (name) => `${name}-Lizenz`,
    aboutText:
      'Baut Firmware mit ESPHome, flasht schlafende Geräte in dem Moment, in dem sie aufwachen, und weist nach, dass die neue Firmware läuft.',
  },
};
