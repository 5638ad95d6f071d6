import { count } from '../plural';
import type { window as english } from '../en/window';

export const window: typeof english = {
  app: {
    name: 'Wakeflash',
    starting: 'Startet …',
    startFailed: 'Wakeflash konnte nicht starten',
    startFailedMeans:
      'Nichts wurde verändert. Wartende Updates gehen weiter, sobald Wakeflash wieder starten kann.',
    openLogs: 'Log-Ordner öffnen',
    damage: {
      backup: (when) => `Die letzte gute Sicherung ist vom ${when}. Was seither geschah, fehlt darin.`,
      holds: (devices, updates) =>
        `Sie kennt ${count(devices, 'Gerät', 'Geräte')}, und ${count(updates, 'Update ist', 'Updates sind')} darin unterwegs.`,
      lost: (n) => `${count(n, 'Gerät', 'Geräte')}, für die seither ein Update verlangt wurde`,
      restore: 'Diese Sicherung wiederherstellen',
      restoreMeans:
        'Wakeflash startet neu und ist angehalten: Brich ab, was seither installiert wurde, und setze es dann fort.',
      empty: 'Mit leerer Warteschlange anfangen',
      emptyTitle: 'Mit leerer Warteschlange anfangen?',
      emptyBody:
        'Warteschlange, Verlauf, Gelerntes über die Geräte und Einstellungen beginnen neu. Die beschädigte Datenbank bleibt erhalten; deine YAML-Dateien werden nicht angerührt.',
      emptyYes: 'Leer anfangen',
      no: 'Zurück',
      starting: 'Wakeflash startet neu …',
    },
    noBackend: 'Diese Seite ist das Fenster von Wakeflash. Starte das Programm, um es zu sehen.',
    lost: 'Das Fenster hat die Verbindung zu Wakeflash verloren und versucht es weiter.',
    dismiss: 'Schließen',
    dismissAll: 'Alle schließen',
    messages: 'Meldungen',
    details: 'Einzelheiten',
    copyRefused: 'Der Desktop hat Wakeflash nicht an die Zwischenablage gelassen.',
    close: 'Schließen',
  },
  /** A number stays with its unit. */
  time: {
    justNow: 'gerade eben',
    minutesAgo: (n) => `vor ${n}\u00a0min`,
    hoursAgo: (n) => `vor ${n}\u00a0h`,
    daysAgo: (n) => `vor ${count(n, 'Tag', 'Tagen')}`,
    moments: 'kurz',
    seconds: (n) => `${n}\u00a0s`,
    minutes: (n) => `${n}\u00a0min`,
    hours: (n) => `${n}\u00a0h`,
    days: (n) => count(n, 'Tag', 'Tage'),
    inAbout: (span) => `in ~${span.replace(/Tage$/, 'Tagen')}`,
    anyMoment: 'jeden Moment',
  },
  nav: {
    label: 'Seiten',
    devices: 'Geräte',
    waiting: 'Wartend',
    settings: 'Einstellungen',
    back: 'Zurück zu den Geräten',
    menu: 'Menü',
    pause: 'Anhalten',
    resume: 'Fortsetzen',
    pauseTitle: 'Nichts Neues bauen und übertragen; Laufendes geht weiter',
    resumeTitle: 'Wieder bauen und übertragen',
    commands: 'Befehle …',
    shortcuts: 'Tastenkürzel',
    about: 'Über Wakeflash',
    quit: 'Beenden',
    openFolder: 'Konfigurationsordner öffnen',
    copyReport: 'Diagnosebericht kopieren',
    reportCopied:
      'Der Bericht ist in der Zwischenablage. Er enthält keine Passwörter und keine Schlüssel.',
    theme: (name) => `Design: ${name}`,
  },
  palette: {
    title: 'Befehle',
    placeholder: 'Befehl oder Gerät eingeben',
    empty: 'Nichts passt.',
    commands: 'Befehle',
    devices: 'Geräte',
  },
  keys: {
    title: 'Tastenkürzel',
    names: {
      Ctrl: 'Strg',
      Home: 'Pos1',
      End: 'Ende',
      PgUp: 'Bild ↑',
      PgDn: 'Bild ↓',
      Enter: 'Eingabe',
      Space: 'Leertaste',
      Shift: 'Umschalt',
    },
    everywhere: 'Überall',
    inList: 'In der Liste',
    palette: 'Befehle und Geräte',
    search: 'Suchen',
    help: 'Diese Hilfe',
    settings: 'Einstellungen',
    quit: 'Beenden',
    zoom: 'Größer; mit − kleiner, mit 0 zurück',
    escape: 'Schließen, leeren, zurück',
    move: 'Voriges, nächstes Gerät',
    page: 'Eine Seite nach oben, unten',
    ends: 'Erstes, letztes Gerät',
    open: 'Einzelheiten öffnen',
    select: 'Gerät auswählen',
    range: 'Bis hier auswählen',
    all: 'Alle angezeigten auswählen',
    menu: 'Alles, was mit dem Gerät geht',
  },
  confirm: {
    cancelFlash: {
      title: 'Laufende Übertragung abbrechen?',
      body: (name) =>
        `Die Firmware wird gerade an ${name} gesendet. Beim Abbrechen ist das und dieses Update zu Ende: Das Gerät behält die Firmware, die es hat, außer wenn die neue gerade schon ganz angekommen ist.`,
      yes: 'Übertragung abbrechen',
      no: 'Weiter übertragen',
    },
    cancelConfirm: {
      title: 'Dieses Update abbrechen?',
      body: (name) =>
        `Das ganze Image kann ${name} schon erreicht haben. Abbrechen nimmt es nicht zurück: Vielleicht läuft auf dem Gerät schon die neue Firmware.`,
      yes: 'Update abbrechen',
      no: 'Weiter warten',
    },
    cancelWaiting: {
      title: 'Dieses Update abbrechen?',
      body: (name) =>
        `An ${name} wird nichts gesendet. Beim Abbrechen behält das Gerät die Firmware, die es hat.`,
      yes: 'Update abbrechen',
      no: 'Behalten',
    },
    cancelOver: (name) => `Nichts wurde abgebrochen: Das Update von ${name} ist zu Ende.`,
    flashOver: (name) =>
      `Nichts wurde geflasht: Das Update von ${name} ist nicht mehr zurückgehalten.`,
    cancelMany: {
      title: (n) => `${count(n, 'Update', 'Updates')} abbrechen?`,
      cut: (n) =>
        n === 1
          ? '1 Übertragung läuft gerade und wird abgebrochen: Das Gerät behält die Firmware, die es hat, außer wenn die neue gerade schon ganz angekommen ist.'
          : `${n} Übertragungen laufen gerade und werden abgebrochen: Die Geräte behalten die Firmware, die sie haben, außer wenn die neue gerade schon ganz angekommen ist.`,
      sent: (n) =>
        `${n === 1 ? '1 Gerät kann' : `${n} Geräte können`} das ganze Image schon haben. Abbrechen nimmt es nicht zurück: Vielleicht läuft dort schon die neue Firmware.`,
      all: 'Die Geräte behalten die Firmware, die sie haben.',
      rest: (n) =>
        n === 1
          ? 'Das andere Gerät behält die Firmware, die es hat.'
          : `Die anderen ${n} Geräte behalten die Firmware, die sie haben.`,
      over: 'Nichts wurde abgebrochen: Diese Updates sind zu Ende.',
      yes: 'Updates abbrechen',
      no: 'Behalten',
    },
    flashAnyway: {
      title: 'Das ältere Image flashen?',
      body: (name, what) =>
        `${what}, seit diese Firmware für ${name} gebaut wurde. Sie wird so geflasht, wie sie gebaut wurde, ohne die Änderungen.`,
      yes: 'Trotzdem flashen',
      no: 'Nicht jetzt',
    },
    leave: {
      flashing: (n) =>
        `${count(n, 'Übertragung läuft', 'Übertragungen laufen')} und ${n === 1 ? 'wird' : 'werden'} abgebrochen.`,
      confirming: (n) =>
        `${count(n, 'Gerät muss', 'Geräte müssen')} die neue Firmware noch bestätigen.`,
      building: (n) =>
        n === 1
          ? '1 Image wird gerade gebaut; das beginnt von vorn.'
          : `${n} Images werden gerade gebaut; das beginnt von vorn.`,
      waiting: (n) => `${count(n, 'Update wartet', 'Updates warten')}.`,
      demo: 'Dies ist eine Demo: Wenn sie endet, sind ihr Gerät, ihre Updates und ihre Dateien weg.',
      kept: (n) =>
        n === 1
          ? 'Das Update bleibt in der Warteschlange. Nichts wird geflasht, bis Wakeflash wieder gestartet wird.'
          : 'Alle Updates bleiben in der Warteschlange. Nichts wird geflasht, bis Wakeflash wieder gestartet wird.',
    },
    quit: {
      title: 'Beenden, während ein Gerät geflasht wird?',
      yes: 'Beenden',
      no: 'Bleiben',
    },
    close: {
      title: 'Wakeflash beenden?',
      idle: 'Kein Update wartet, also geht nichts verloren. Nichts wird geflasht, bis Wakeflash wieder gestartet wird.',
      background:
        'Wakeflash kann auch ohne Fenster weiterarbeiten; ein erneuter Start öffnet das Fenster.',
      yes: 'Beenden',
      other: 'Ohne Fenster weiterarbeiten',
      no: 'Bleiben',
    },
  },
  banner: {
    esphomeMeans:
      'Jetzt kann nichts gebaut werden. Fertig gebaute Updates warten weiter auf ihr Gerät.',
    installEsphome: 'ESPHome installieren',
    choosePath: 'Pfad wählen',
    lookAgain: 'Erneut suchen',
    esphomeInstalling: 'ESPHome wird installiert',
    configDirUnreadable: (path) => `${path} kann nicht gelesen werden`,
    configDirMeans: 'Wartende Updates warten weiter.',
    chooseFolder: 'Anderen Ordner wählen',
    store: 'Änderungen können nicht gespeichert werden',
    storeMeans: 'Bis das wieder geht, beginnt nichts Neues.',
    noNetwork: 'Kein Netzwerk',
    network: 'Das Netzwerk kann nicht beobachtet werden',
    networkMeans: 'Dass ein Gerät aufwacht, wird vielleicht spät bemerkt.',
    otherTool: 'Ein anderes Programm ist im Weg',
    paused: 'Angehalten',
    pausedMeans:
      'Nichts Neues wird gebaut oder übertragen. Ein Gerät, das jetzt aufwacht, wird verpasst.',
  },
  firstRun: {
    title: 'Willkommen bei Wakeflash',
    intro:
      'Klicke bei einem schlafenden ESPHome-Gerät auf Installieren. Wakeflash baut die Firmware jetzt und flasht sie in dem Moment, in dem das Gerät aufwacht.',
    where: 'Wo liegen deine YAML-Dateien von ESPHome?',
    found: 'Auf diesem Rechner gefunden',
    looking: 'Sucht an den üblichen Orten …',
    noneFound:
      'An den üblichen Orten liegen keine YAML-Dateien. Gib deinen Ordner ein oder wähle ihn aus.',
    path: 'Ordner',
    browse: 'Wählen …',
    go: 'Meine Geräte anzeigen',
    esphome: 'ESPHome baut die Firmware',
    esphomeLater: 'Das geht auch später: Die Geräte werden auch ohne aufgelistet.',
  },
  announce: {
    change: (name, state) => `${name}: ${state}`,
    many: (n) => `${n} Geräte haben sich geändert`,
    shown: (n) => `${count(n, 'Gerät wird', 'Geräte werden')} angezeigt`,
  },
};
