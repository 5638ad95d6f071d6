/** What can be wrong with a device's files or its build. */
import type { German } from './problems';

const clean = 'Räume die Build-Dateien auf (`esphome clean`) und baue neu.';

export const device = {
  'address.link_local': {
    says: 'Diese Adresse gilt nur innerhalb einer Verbindung; Wakeflash kann sie noch nicht benutzen.',
    help: 'Gib die IPv4-Adresse des Geräts ein, eine andere seiner IPv6-Adressen oder seinen Namen.',
  },
  'address.unreadable': {
    says: 'Das ist weder eine IP-Adresse noch ein Name.',
    help: 'Zum Beispiel 192.168.1.20, 2001:db8::20 oder sensor.example.org.',
  },
  'artifact.cleanup': { says: 'Alte Images konnten nicht gelöscht werden.', varies: true },
  'artifact.damaged': { says: 'Die gespeicherte Firmware ist beschädigt.' },
  'artifact.missing': { says: 'Die gespeicherte Firmware ist weg.' },
  'artifact.no_space': {
    says: 'Für die gebaute Firmware ist kein Platz mehr.',
    help: 'Schaffe Platz und versuche es erneut.',
    varies: true,
  },
  'artifact.unreadable': {
    says: 'Die gespeicherte Firmware kann nicht gelesen werden.',
    varies: true,
  },
  'artifact.unusable': {
    says: 'Die gebaute Firmware ist nicht zu gebrauchen.',
    help: 'Installiere noch einmal; dann wird sie neu gebaut.',
    varies: true,
  },
  'artifact.write': {
    says: 'Die gebaute Firmware kann nicht gespeichert werden.',
    help: 'Prüfe, ob Wakeflash in seinen Datenordner schreiben darf, und versuche es erneut.',
    varies: true,
  },
  'build.compiler_error': {
    says: 'Der Compiler hat abgebrochen.',
    help: 'Stammt die Zeile aus deinem YAML, berichtige das Lambda; sonst hilft das Build-Protokoll.',
    exact: [[/^The compiler stopped: (.*)$/s, 'Der Compiler hat abgebrochen: $1']],
  },
  'build.config_invalid': {
    says: 'ESPHome weist die Konfiguration zurück.',
    help: 'Berichtige das YAML und versuche es erneut.',
    exact: [
      [/^ESPHome rejects the configuration: (.*)$/s, 'ESPHome weist die Konfiguration zurück: $1'],
    ],
  },
  'build.download_failed': {
    says: 'ESPHome konnte nicht herunterladen, was es für diese Plattform braucht.',
    help: 'Prüfe die Internetverbindung. Der erste Build einer Plattform braucht sie.',
  },
  'build.encryption': {
    says: 'Die Konfiguration verlangt verschlüsselte Updates; das kann diese Version noch nicht.',
    help: 'Setze `allow_plaintext_upload: true` unter `ota: encryption:`, oder aktualisiere das Gerät mit ESPHome.',
  },
  'build.esphome_broken': {
    says: 'Dieses ESPHome funktioniert nicht.',
    help: 'Wähle in den Einstellungen ein anderes, oder lass Wakeflash eines installieren.',
    exact: [[/^This ESPHome doesn't work: (.*)$/s, 'Dieses ESPHome funktioniert nicht: $1']],
  },
  'build.failed': {
    says: 'Der Build ist fehlgeschlagen.',
    help: 'Das Build-Protokoll sagt mehr.',
    varies: true,
  },
  'build.fault': {
    says: 'Der Build ist an einem Fehler in Wakeflash gescheitert.',
    help: 'Bitte melde ihn, mit dem Protokoll des Programms.',
  },
  'build.incomplete': {
    says: 'ESPHome hat nicht alles hinterlassen, was zur Firmware gehört.',
    help: clean,
    varies: true,
  },
  'build.linker_error': {
    says: 'Der Linker hat abgebrochen.',
    help: 'Das Build-Protokoll sagt mehr. `esphome clean` vor dem nächsten Versuch kann helfen.',
    exact: [[/^The linker stopped: (.*)$/s, 'Der Linker hat abgebrochen: $1']],
  },
  'build.no_space': {
    says: 'Die Festplatte ist voll.',
    help: 'Schaffe Platz (`esphome clean-all` löscht alte Builds) und versuche es erneut.',
  },
  'build.not_started': {
    says: 'ESPHome kann nicht gestartet werden.',
    help: 'Wähle in den Einstellungen ein anderes, oder lass Wakeflash eines installieren.',
    varies: true,
  },
  'build.nowhere': { says: 'Zum Bauen fehlt ESPHome oder der Konfigurationsordner.' },
  'build.out_of_memory': {
    says: 'Dem Rechner ist beim Kompilieren der Speicher ausgegangen.',
    help: 'Schließe andere Programme, oder setze `compile_process_limit: 1` unter `esphome:`.',
  },
  'build.output': { says: 'Die Ausgabe von ESPHome kann nicht gelesen werden.' },
  'build.secret_missing': {
    says: 'In secrets.yaml fehlt ein Eintrag.',
    help: 'Ergänze ihn in secrets.yaml im Konfigurationsordner und versuche es erneut.',
    varies: true,
  },
  'build.timeout': {
    says: 'ESPHome brauchte zu lange und wurde beendet.',
    help: 'Sieh ans Ende des Build-Protokolls und versuche es erneut.',
    varies: true,
  },
  'build.too_big': {
    says: 'Die Firmware ist zu groß.',
    help: 'Nimm Komponenten aus der Konfiguration und versuche es erneut.',
    exact: [[/^The firmware doesn't fit: (.*)$/s, 'Die Firmware ist zu groß: $1']],
  },
  'config.denied': {
    says: 'Wakeflash darf die Datei nicht lesen.',
    help: 'Gib dir das Recht, sie zu lesen.',
  },
  'config.empty': {
    says: 'Die Datei ist leer.',
    help: 'Sie beginnt mit einem Schlüssel wie `esphome:`.',
  },
  'config.encoding': {
    says: 'Die Datei enthält Bytes, die kein UTF-8 sind.',
    help: 'Speichere die Datei in deinem Editor als UTF-8.',
    exact: [[/^Line (\d+) contains bytes.*$/, 'Zeile $1 enthält Bytes, die kein UTF-8 sind.']],
  },
  'config.file_name': {
    says: 'Der Name der Datei ist kein UTF-8.',
    help: 'Benenne die Datei um.',
  },
  'config.link_loop': {
    says: 'Die Datei ist ein Verweis, der auf sich selbst zurückführt.',
    help: 'Lösche den Verweis, oder lass ihn auf eine Datei zeigen.',
  },
  'config.missing': { says: 'Die Datei ist nicht da, oder ist ein Verweis ins Leere.' },
  'config.name': {
    says: 'Der Name des Ordners enthält Bytes, die kein Text sind.',
    help: 'Benenne ihn um, oder wähle einen anderen.',
  },
  'config.no_mapping': {
    says: 'Die Datei ist keine Konfiguration von ESPHome.',
    help: 'Sie beginnt mit einem Schlüssel wie `esphome:`.',
  },
  'config.syntax': {
    says: 'Das YAML hat einen Fehler.',
    help: 'Berichtige das YAML; die Liste folgt, sobald die Datei gespeichert ist.',
    varies: true,
    exact: [[/^Line (\d+), column (\d+): (.*)$/s, 'Zeile $1, Spalte $2: $3']],
  },
  'config.too_deep': { says: 'Die Datei ist zu tief verschachtelt.', varies: true },
  'config.too_large': {
    says: 'Die Datei ist zu groß.',
    help: 'Teile sie mit `packages:` und `!include` auf.',
    exact: [[/^The file is larger than (\d+) MB\.$/, 'Die Datei ist größer als $1 MB.']],
  },
  'config.unreadable': { says: 'Die Datei kann nicht gelesen werden.', varies: true },
  'device.no_config': {
    says: 'Dieses Gerät hat keine Konfigurationsdatei.',
    help: 'Nenne eine YAML-Datei des Konfigurationsordners, etwa `sleepy.yaml`.',
  },
  'device.not_configured': {
    says: 'Dieses Gerät wurde nur im Netzwerk gesehen; es gibt keine Konfiguration zum Bauen.',
    help: 'Lege seine YAML-Datei in den Konfigurationsordner.',
  },
  'device.never_seen': {
    says: 'Ein Gerät dieses Namens wurde noch nicht gesehen.',
    help: 'Das Update wartet darauf. Heißt das Gerät jetzt noch anders, dann setz diesen Namen in der Datei wieder ein, bis es einmal gesehen wurde, und ändere ihn erst danach. Meldet es sich nie von selbst, dann gib seine Adresse an.',
    varies: true,
  },
  'device.unknown': { says: 'Dieses Gerät gibt es hier nicht mehr.' },
  'esphome.files': {
    says: 'Was ESPHome hinterlassen hat, ist nicht zu verstehen.',
    help: 'Baue neu. Bleibt es so, ist dieses ESPHome vielleicht neuer, als Wakeflash es kennt.',
    varies: true,
  },
  'image.empty': { says: 'Das Firmware-Image ist leer.', help: clean },
  'image.magic': {
    says: 'Die Firmware ist kein Image für diese Plattform.',
    help: 'Nimm das Image für Updates über Funk, nicht das fürs Kabel.',
    varies: true,
  },
  'image.unreadable': {
    says: 'Die gebaute Firmware kann nicht gelesen werden.',
    help: clean,
    varies: true,
  },
  'update.active': { says: 'Für dieses Gerät ist schon ein Update unterwegs.' },
  'update.held': {
    says: 'Das Update dieses Geräts ist zurückgehalten; entscheide zuerst darüber.',
  },
  'update.none': { says: 'Für dieses Gerät gibt es kein Update.' },
  'update.not_held': { says: 'Das Update dieses Geräts ist nicht zurückgehalten.' },
  'update.outcome_unknown': {
    says: 'Die Verbindung brach zweimal nach dem letzten Byte ab, und dieses Gerät kann nicht sagen, was auf ihm läuft.',
    help: 'Sieh dir das Gerät an: Vielleicht läuft die neue Firmware. Wenn nicht, versuche es erneut.',
  },
  'update.rolled_back': {
    says: 'Das Gerät hat die neue Firmware genommen und kam mit einer anderen zurück.',
    help: 'Firmware vor ESPHome 2026.8 fällt zurück, wenn das Gerät einschläft, bevor die neue eine Minute gelaufen ist. Halte es danach eine Minute wach.',
    varies: true,
    exact: [
      [
        /^Rolled back: the device took the new firmware \((.*)\) and came back with another one \((.*)\)\.$/,
        'Zurückgefallen: Das Gerät hat die neue Firmware ($1) genommen und kam mit einer anderen ($2) zurück.',
      ],
    ],
  },
} satisfies Record<string, German>;
