import { count } from '../plural';
import type { window as english } from '../en/window';

export const window: typeof english = {
  app: {
    name: 'Wakeflash',
    starting: 'Startet …',
    startFailed: 'Wakeflash konnte nicht starten',
    startFailedMeans: 'Nichts wurde verändert. Wartende Updates gehen weiter, sobald es startet.',
    openLogs: 'Log-Ordner öffnen',
    damage: {
      backup: (when) =>
        `Die letzte gute Sicherung ist vom ${when}. Was seither geschah, fehlt darin.`,
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
    cleaning: (name) => `Die Build-Dateien von ${name} werden aufgeräumt …`,
    cleaned: (name) => `Die Build-Dateien von ${name} sind aufgeräumt.`,
    validating: (name) => `${name} wird geprüft …`,
    valid: (name) => `${name} ist gültig: ESPHome hat nichts daran auszusetzen.`,
    invalid: (name) => `ESPHome lehnt ${name} ab`,
    openFile: (file) => `${file} öffnen`,
    imageSaved: (path) => `Das Image ist gespeichert: ${path}`,
    dismiss: 'Schließen',
    dismissAll: 'Alle schließen',
    messages: 'Meldungen',
    undo: 'Rückgängig',
    cancelled: (name) => `Update von ${name} abgebrochen`,
    cancelledMany: (n) => `${count(n, 'Update', 'Updates')} abgebrochen`,
    notDone: (why) => `Nicht geschehen: ${why}`,
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
    home: 'Start',
    devices: 'Geräte',
    settings: 'Einstellungen',
    back: 'Zurück',
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
    acts: 'Aktionen',
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
    step: 'Details des nächsten, vorigen Geräts',
    undo: 'Abbrechen rückgängig machen, 10 Sekunden lang',
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
      body: (name) => `${name} wird gerade geflasht.`,
      points: [
        'Die Übertragung bricht ab, und dieses Update ist zu Ende.',
        'Das Gerät behält seine Firmware, außer wenn die neue gerade ganz angekommen ist.',
      ],
      yes: 'Übertragung abbrechen',
      no: 'Weiter flashen',
    },
    cancelConfirm: {
      title: 'Dieses Update abbrechen?',
      body: (name) => `Die ganze Firmware kann schon auf ${name} sein.`,
      points: [
        'Abbrechen nimmt sie nicht zurück: Vielleicht läuft sie dort.',
        'Wakeflash prüft dann nicht mehr, was darauf läuft.',
      ],
      yes: 'Update abbrechen',
      no: 'Weiter warten',
    },
    cancelWaiting: {
      title: 'Dieses Update abbrechen?',
      body: (name) => `An ${name} wird nichts gesendet.`,
      points: ['Das Gerät behält seine Firmware.'],
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
          ? '1 laufende Übertragung bricht ab: Das Gerät behält seine Firmware, außer wenn die neue gerade ganz angekommen ist.'
          : `${n} laufende Übertragungen brechen ab: Die Geräte behalten ihre Firmware, außer wenn die neue gerade ganz angekommen ist.`,
      sent: (n) =>
        n === 1
          ? 'Auf 1 Gerät läuft vielleicht schon die neue Firmware: Abbrechen nimmt sie nicht zurück.'
          : `Auf ${n} Geräten läuft vielleicht schon die neue Firmware: Abbrechen nimmt sie nicht zurück.`,
      all: 'Die Geräte behalten ihre Firmware.',
      rest: (n) =>
        n === 1
          ? 'Das andere Gerät behält seine Firmware.'
          : `Die anderen ${n} Geräte behalten ihre Firmware.`,
      over: 'Nichts wurde abgebrochen: Diese Updates sind zu Ende.',
      yes: 'Updates abbrechen',
      no: 'Behalten',
    },
    flashAnyway: {
      title: 'Den älteren Build flashen?',
      body: (name, what) => `${what}, seit die Firmware für ${name} gebaut wurde.`,
      points: ['Sie wird ohne die Änderungen geflasht.'],
      yes: 'Flashen wie gebaut',
      no: 'Nicht jetzt',
    },
    leave: {
      flashing: (n) =>
        n === 1 ? '1 laufende Übertragung bricht ab.' : `${n} laufende Übertragungen brechen ab.`,
      confirming: (n) =>
        n === 1
          ? '1 Gerät muss seine neue Firmware noch melden.'
          : `${n} Geräte müssen ihre neue Firmware noch melden.`,
      building: (n) =>
        n === 1
          ? '1 Build beginnt beim nächsten Mal von vorn.'
          : `${n} Builds beginnen beim nächsten Mal von vorn.`,
      waiting: (n) => `${count(n, 'Update wartet', 'Updates warten')} weiter.`,
      attention: (n) => (n === 1 ? '1 braucht dich noch.' : `${n} brauchen dich noch.`),
      demo: 'Dies ist eine Demo: Ihr Gerät, ihre Updates und ihre Dateien sind dann weg.',
      kept: 'Nichts wird geflasht, bis Wakeflash wieder gestartet wird. Die Warteschlange bleibt.',
    },
    quit: {
      title: 'Beenden, während ein Gerät geflasht wird?',
      yes: 'Beenden',
      no: 'Weiterlaufen',
    },
    close: {
      title: 'Wakeflash beenden?',
      idle: 'Kein Update wartet. Nichts wird geflasht, bis Wakeflash wieder gestartet wird.',
      background: 'Es kann auch ohne Fenster weiterlaufen. Ein erneuter Start zeigt es wieder.',
      yes: 'Beenden',
      other: 'Ohne Fenster weiterlaufen',
      no: 'Weiterlaufen',
    },
  },
  banner: {
    esphomeMeans: 'Nichts kann gebaut werden. Fertig gebaute Updates warten weiter.',
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
    networkMeans: 'Dass ein Gerät aufwacht, wird vielleicht spät bemerkt.',
    paused: 'Angehalten',
    pausedMeans: 'Nichts Neues wird gebaut oder geflasht. Wer jetzt aufwacht, wird verpasst.',
    problems: 'Probleme',
    several: (n) => `${n} Probleme`,
    showAll: 'Zeigen',
    showLess: 'Einklappen',
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
    esphomeLater: 'Das geht auch später. Die Geräte werden auch ohne aufgelistet.',
  },
  announce: {
    change: (name, state) => `${name}: ${state}`,
    many: (n) => `${n} Geräte haben sich geändert`,
    shown: (n) => `${count(n, 'Gerät wird', 'Geräte werden')} angezeigt`,
  },
};
