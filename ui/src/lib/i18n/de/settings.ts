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
    esphomeHelp:
      'Ein Pfad geht dem ESPHome im PATH vor und dieses dem, das Wakeflash installiert hat, außer es ist hier eingeschaltet.',
    esphomeOwn: 'Das eigene ESPHome von Wakeflash verwenden, was es auch sonst gibt',
    esphomeOwnHelp:
      'Es zu installieren oder zu aktualisieren schaltet dies ein. Ausgeschaltet gilt wieder der Pfad darunter, und ist der leer, das ESPHome im PATH.',
    esphomeStill: (version) => `ESPHome ${version} baut weiter.`,
    esphomePath: 'Pfad des Programms esphome',
    esphomePathHint: 'wird automatisch gefunden',
    esphomeReady: (version) => `ESPHome ${version}`,
    esphomeSearching: 'Sucht ESPHome …',
    esphomeApply: 'Diesen Pfad verwenden',
    esphomeUpgrade: 'Eigenes ESPHome von Wakeflash installieren oder aktualisieren',
    changed: 'Wenn sich Dateien ändern, während ein Update wartet',
    changedHelp: 'Es zählen YAML-Dateien, was sie einbinden, und Secrets.',
    changedSources: {
      hold: {
        name: 'Zurückhalten und fragen',
        help: 'Das Update bleibt, und nichts wird geflasht, bis du entscheidest.',
      },
      rebuild: { name: 'Neu bauen', help: 'Das Gerät bekommt, was die Dateien jetzt sagen.' },
      flash: {
        name: 'Flashen, was gebaut wurde',
        help: 'Das Gerät bekommt die Firmware so, wie sie gebaut wurde.',
      },
    },
    notifications: 'Benachrichtigungen',
    notificationsHelp: 'Auf dem Desktop, eine je Ergebnis, nie für jeden Versuch.',
    notify: {
      installed: { name: 'Installiert', help: 'Ein Update ist angekommen und läuft.' },
      failed: {
        name: 'Fehlgeschlagen oder Rollback',
        help: 'Ein Update endete ohne Erfolg.',
      },
      held: { name: 'Zurückgehalten', help: 'Dateien haben sich beim Warten geändert.' },
      overdue: {
        name: 'Überfällig',
        help: 'Ein Gerät, auf das gewartet wird, müsste aufgewacht sein; einmal am Tag.',
      },
    },
    notificationsAbsent: 'Dieser Desktop zeigt keine Benachrichtigungen.',
    notificationsPlain: 'Dieser Desktop zeigt Benachrichtigungen ohne Schaltflächen.',
    work: 'Gleichzeitig',
    maxBuilds: 'Builds',
    maxBuildsHelp: 'Mehr als einer braucht Speicher und einen schnellen Rechner.',
    maxFlashes: 'Übertragungen',
    maxFlashesHelp: 'Wie viele Geräte zugleich geflasht werden, wenn sie zusammen aufwachen.',
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
