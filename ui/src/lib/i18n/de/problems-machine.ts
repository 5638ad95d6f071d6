/** What this computer, its network or the application itself can do wrong. */
import type { German } from './problems';

const report = 'Bitte melde das, mit dem Protokoll des Programms.';
const drive = 'Prüfe das Laufwerk oder die Netzwerkfreigabe, auf der er liegt.';
const known = 'Geräte mit bekannter Adresse werden weiter gefunden.';
const online = 'Prüfe die Internetverbindung und versuche es erneut.';

export const machine = {
  'autostart.failed': {
    says: 'Der Start bei der Anmeldung kann nicht geändert werden.',
    varies: true,
  },
  'command.unreadable': { says: 'Das ist kein Befehl.', varies: true },
  'config_dir.denied': {
    says: 'Wakeflash darf den Konfigurationsordner nicht lesen.',
    help: 'Gib dir das Recht, ihn zu lesen.',
  },
  'config_dir.missing': {
    says: 'Den Konfigurationsordner gibt es nicht.',
    help: 'Liegt er auf einem Laufwerk oder einer Freigabe, verbinde sie; sonst wähle einen anderen.',
    varies: true,
  },
  'config_dir.no_directory': {
    says: 'Das ist kein Ordner.',
    help: 'Wähle den Ordner, in dem deine YAML-Dateien liegen.',
    varies: true,
  },
  'config_dir.reading': {
    says: 'Der Konfigurationsordner ist noch nicht gelesen.',
    help: 'Versuche es gleich noch einmal, oder wähle einen Ordner, der gelesen werden kann.',
  },
  'config_dir.scan': {
    says: 'Das Lesen des Konfigurationsordners ist an einem Fehler in Wakeflash gescheitert.',
    help: report,
  },
  'config_dir.silent': {
    says: 'Der Konfigurationsordner antwortet nicht.',
    help: drive,
    varies: true,
  },
  'config_dir.unreadable': {
    says: 'Der Konfigurationsordner kann nicht gelesen werden.',
    help: drive,
    varies: true,
  },
  'config_dir.unset': {
    says: 'Noch ist kein Konfigurationsordner gewählt.',
    help: 'Wähle den Ordner, in dem deine YAML-Dateien liegen.',
  },
  'engine.defect': { says: 'Ein Fehler in Wakeflash.', help: report, varies: true },
  'engine.ended': { says: 'Wakeflash wird gerade beendet.' },
  'engine.start': {
    says: 'Wakeflash kann nicht starten.',
    help: 'Das Protokoll sagt mehr.',
    varies: true,
  },
  'esphome.broken': {
    says: 'Dieses ESPHome funktioniert nicht.',
    help: 'Wähle in den Einstellungen ein anderes, oder lass Wakeflash eines installieren.',
    varies: true,
    exact: [
      [/^There is no program (.*)\.$/s, 'Es gibt kein Programm $1.'],
      [/^ESPHome \((.*)\) doesn't work: (.*)\.$/s, 'ESPHome ($1) funktioniert nicht: $2.'],
    ],
  },
  'esphome.install': {
    says: 'ESPHome konnte nicht installiert werden.',
    help: 'Das Protokoll des Programms sagt mehr.',
    varies: true,
  },
  'esphome.install_network': {
    says: 'ESPHome kann nicht heruntergeladen werden.',
    help: online,
  },
  'esphome.install_space': {
    says: 'Die Festplatte ist voll: ESPHome kann nicht installiert werden.',
    help: 'Schaffe etwa 1 GB Platz und versuche es erneut.',
  },
  'esphome.install_timeout': {
    says: 'Die Installation von ESPHome dauerte zu lange und wurde beendet.',
    help: online,
  },
  'esphome.install_version': { says: 'Das ist keine Version von ESPHome.' },
  'esphome.install_write': {
    says: 'ESPHome kann nicht in den Datenordner installiert werden.',
    help: 'Schaffe Platz, und prüfe, ob Wakeflash in seinen Datenordner schreiben darf.',
    varies: true,
  },
  'esphome.installing': { says: 'ESPHome wird schon installiert.' },
  'esphome.missing': {
    says: 'Auf diesem Rechner wurde kein ESPHome gefunden.',
    help: 'Lass Wakeflash es installieren, oder wähle das Programm in den Einstellungen.',
  },
  'esphome.no_python': {
    says: 'Für ESPHome fehlt ein passendes Python.',
    help: 'Installiere ein neueres Python von python.org oder aus deiner Distribution.',
    varies: true,
  },
  'esphome.no_venv': {
    says: 'Dieses Python kann keine Umgebungen anlegen.',
    help: 'Installiere sein venv-Paket (Debian: `apt install python3-venv`).',
  },
  'log.none': { says: 'Von diesem Update gibt es kein Protokoll mehr.' },
  'log.not_saved': {
    says: 'Das Protokoll kann nicht gespeichert werden.',
    help: 'Wähle einen anderen Ort.',
    varies: true,
  },
  'network.mdns': {
    says: 'Geräte können nicht entdeckt werden: mDNS macht Schwierigkeiten.',
    help: known,
  },
  'network.none': {
    says: 'Dieser Rechner ist mit keinem Netzwerk verbunden.',
    help: 'Wartende Updates warten weiter und gehen weiter, wenn das Netzwerk wieder da ist.',
  },
  'network.port': {
    says: 'Geräte können nicht entdeckt werden: Der mDNS-Port 5353 ist belegt.',
    help: `Ein anderes Programm behält ihn für sich. ${known}`,
  },
  'open.failed': { says: 'Der Desktop hat kein Programm, das dies öffnet.' },
  'open.missing': { says: 'Diese Datei oder dieser Ordner ist weg.' },
  'open.refused': { says: 'Wakeflash öffnet diesen Pfad nicht.' },
  'other_tools.device_builder': {
    says: 'Im Device Builder von ESPHome wartet ein eigenes Update desselben Geräts.',
    help: 'Beide würden es beim nächsten Aufwachen flashen. Brich eines davon ab.',
    exact: [
      [
        /^ESPHome Device Builder has an update of its own queued for (.*)\.$/s,
        'Im Device Builder von ESPHome wartet ein eigenes Update für $1.',
      ],
    ],
  },
  'queue.exhausted': { says: 'Die Warteschlange hat keine Nummern mehr für neue Updates.' },
  'settings.relative_path': {
    says: 'Das ist kein vollständiger Pfad.',
    help: 'Gib den Pfad von der Wurzel an, etwa /home/ich/esphome.',
    exact: [[/^(.*) is not a complete path\.$/s, '„$1“ ist kein vollständiger Pfad.']],
  },
  'settings.zero': {
    says: 'Mindestens ein Build und eine Übertragung müssen zugleich erlaubt sein.',
  },
  'sources.silent': {
    says: 'Die Dateien können nicht verglichen werden: Der Konfigurationsordner antwortet nicht.',
    help: drive,
  },
  'state.homeless': {
    says: 'Dieser Benutzer hat keinen Heimatordner.',
    help: 'Starte Wakeflash mit --state ORDNER.',
  },
  'state.unusable': {
    says: 'Wakeflash kann seine Daten nicht ablegen.',
    help: 'Mach den Datenordner beschreibbar, oder starte Wakeflash mit --state ORDNER.',
    varies: true,
  },
  'store.in_use': {
    says: 'Mit denselben Daten läuft schon ein Wakeflash.',
    help: 'Benutze dieses, oder beende es zuerst.',
  },
  'store.newer': {
    says: 'Die Warteschlange stammt von einem neueren Wakeflash, und dieses kann sie nicht lesen.',
    help: 'Starte das neuere. Nichts wurde geändert, nichts ging verloren.',
  },
  'store.unreadable': {
    says: 'Das kann nicht gelesen werden.',
    help: 'Prüfe die Festplatte des Datenordners. Das Protokoll sagt mehr.',
    varies: true,
  },
  'store.unusable': {
    says: 'Die Warteschlange kann nicht geöffnet werden.',
    help: 'Prüfe, ob der Datenordner beschreibbar und die Festplatte nicht voll ist. Nichts wurde geändert.',
    varies: true,
  },
  'store.unwritable': {
    says: 'Die Warteschlange kann nicht geschrieben werden.',
    help: 'Nichts wurde geändert. Schaffe Platz auf der Festplatte des Datenordners; was wartet, bleibt in der Warteschlange.',
    varies: true,
  },
  'window.close': { says: 'Das Fenster kann nicht geschlossen werden.' },
  'window.command': { says: 'Das Fenster erreicht Wakeflash nicht.', varies: true },
  'window.copy': { says: 'Die Zwischenablage ist nicht erreichbar.', varies: true },
  'window.details': { says: 'Das Fenster erreicht Wakeflash nicht.', varies: true },
  'window.dialog': {
    says: 'Der Desktop zeigt keinen Dialog.',
    help: 'Gib stattdessen den Pfad des Ordners ein.',
  },
  'window.snapshot': { says: 'Das Fenster erreicht Wakeflash nicht.', varies: true },
} satisfies Record<string, German>;
