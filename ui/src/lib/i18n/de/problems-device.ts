/** What a device, its files or its build can do wrong. */
import type { German } from './problems';

const again = 'Es wird beim nächsten Aufwachen erneut versucht.';
const soon = 'Es wird erneut versucht, sobald das Gerät antwortet.';
const byCable = 'Flashe es einmal über USB.';
const deviceLog = 'Sieh im Protokoll des Geräts nach.';
const clean = 'Räume die Build-Dateien auf (`esphome clean`) und baue neu.';
const nothingSent = 'Nichts wurde gesendet.';

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
  'flash.already_running': { says: 'Auf dem Gerät läuft dieser Build schon.' },
  'flash.no_connection': { says: 'Die Verbindung war zu, bevor sie genutzt werden konnte.' },
  'flash.not_recorded': { says: 'Die Übertragung wurde vor ihrem Ende angehalten.', varies: true },
  'flash.random': { says: 'Das System gab keine Zufallszahlen.', varies: true },
  'flash.refused': { says: nothingSent, varies: true },
  'flash.stopped': { says: 'Dieses Update wird nicht mehr geflasht.' },
  'gate.other_device': {
    says: 'Unter dieser Adresse hat ein anderes Gerät geantwortet.',
    help: `${nothingSent} Das Update wartet auf das richtige Gerät. Hast du die Platine getauscht, brich das Update ab und installiere neu: Das nimmt die an, die jetzt da ist.`,
    varies: true,
  },
  'gate.refused': { says: nothingSent, varies: true },
  'gate.unidentified': {
    says: 'Wakeflash konnte nicht feststellen, welches Gerät geantwortet hat.',
    help: `${nothingSent} Denn die Firmware enthält deine WLAN-Zugangsdaten. Lass das Gerät sich per mDNS melden, gib ihm einen eigenen Schlüssel oder eine feste Adresse in seiner Konfiguration.`,
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
  'ota.auth_invalid': {
    says: 'Das Gerät hat das Passwort abgelehnt.',
    help: 'Gib das OTA-Passwort der Firmware an, die jetzt darauf läuft, nicht das der neuen.',
  },
  'ota.bootloader_update': {
    says: 'Das Gerät konnte seinen Bootloader nicht schreiben und startet vielleicht nicht mehr.',
    help: 'Starte es nicht neu, bevor du sein Protokoll gesehen hast.',
  },
  'ota.bootloader_verify': {
    says: 'Das Gerät konnte den Bootloader nicht prüfen. Nichts wurde geändert.',
    help: deviceLog,
  },
  'ota.cancelled': { says: 'Das Update wurde abgebrochen.', varies: true },
  'ota.closed': { says: 'Die Verbindung zum Gerät ist abgerissen.', help: soon, varies: true },
  'ota.credentials_changed': {
    says: 'OTA-Passwort oder Schlüssel sind andere als beim letzten Build; das Gerät kennt sie vielleicht nicht.',
    varies: true,
  },
  'ota.device_cannot_encrypt': {
    says: 'Die Konfiguration verlangt Verschlüsselung, und die Firmware auf dem Gerät kann das nicht.',
    varies: true,
  },
  'ota.device_unknown': {
    says: 'Das Gerät hat einen Fehler gemeldet, ohne zu sagen, welchen.',
    help: `${again} ${deviceLog}`,
  },
  'ota.device_unlisted': {
    says: 'Das Gerät hat einen Fehler gemeldet, den diese Version von Wakeflash nicht kennt.',
    help: `${deviceLog} Oder aktualisiere Wakeflash.`,
    varies: true,
  },
  'ota.encryption': {
    says: 'Die Verbindung konnte nicht verschlüsselt werden.',
    help: 'Nichts wurde unverschlüsselt gesendet; es wird erneut versucht.',
    varies: true,
  },
  'ota.encryption_not_offered': {
    says: 'Das Gerät bietet keine Verschlüsselung an, und die Konfiguration verlangt sie.',
    varies: true,
  },
  'ota.encryption_required': {
    says: 'Das Gerät nimmt nur verschlüsselte Updates, und die Konfiguration hat keinen Schlüssel.',
    help: 'Trage den Schlüssel der Firmware ein, die jetzt darauf läuft.',
  },
  'ota.encryption_unavailable': {
    says: 'Diese Verbindung müsste verschlüsselt sein, und das geht nicht.',
    varies: true,
  },
  'ota.esp32_not_enough_space': {
    says: 'Die Firmware ist größer als die OTA-Partition des Geräts.',
    help: 'Mach sie kleiner, oder flashe einmal über USB, um die Partitionen zu ändern.',
  },
  'ota.esp8266_not_enough_space': {
    says: 'Auf dem Gerät ist kein Platz für eine zweite Firmware dieser Größe.',
    help: 'Flashe erst eine kleine Firmware nur mit OTA, dann diese.',
  },
  'ota.handshake_refused': {
    says: 'Das Gerät hat die verschlüsselte Verbindung abgelehnt.',
    help: `${again} ${deviceLog}`,
    varies: true,
  },
  'ota.invalid_bootstrapping': {
    says: 'Nach dem Flashen über USB braucht das Gerät einen Neustart.',
    help: 'Drücke einmal seine Reset-Taste, oder warte auf sein nächstes Aufwachen.',
  },
  'ota.key': {
    says: 'Der Schlüssel in der Konfiguration ist ungültig.',
    help: 'Ein Schlüssel besteht aus 32 Bytes in Base64. Die Dokumentation von ESPHome zu `api:` erzeugt einen.',
  },
  'ota.magic': {
    says: 'Das Gerät versteht nicht, was gesendet wurde.',
    help: 'Prüfe, ob Adresse und Port zu diesem Gerät gehören und ob die Konfiguration die richtige Platine nennt.',
    varies: true,
  },
  'ota.md5_mismatch': {
    says: 'Die Firmware wurde unterwegs beschädigt, und das Gerät hat sie verworfen.',
    help: 'Sie wird erneut gesendet; bleibt es so, rücke das Gerät näher an den Zugangspunkt.',
  },
  'ota.missing': {
    says: 'Die Konfiguration hat kein OTA über ESPHome.',
    help: 'Ergänze `- platform: esphome` unter `ota:`. Fehlt es auch der Firmware auf dem Gerät, installiere sie einmal per Kabel.',
    varies: true,
  },
  'ota.no_update_partition': {
    says: 'Das Gerät hat keine Partition für Updates.',
    help: `${byCable} Das legt eine an.`,
  },
  'ota.partition_table_update': {
    says: 'Das Gerät konnte seine Partitionstabelle nicht schreiben und startet vielleicht nicht mehr.',
    help: 'Starte es nicht neu, bevor du sein Protokoll gesehen hast.',
  },
  'ota.partition_table_verify': {
    says: 'Das Gerät konnte seine Partitionstabelle nicht prüfen. Nichts wurde geändert.',
    help: deviceLog,
  },
  'ota.password_needed': {
    says: 'Das Gerät verlangt ein OTA-Passwort, und die Konfiguration hat keines.',
    help: 'Trage das Passwort der Firmware ein, die jetzt darauf läuft.',
  },
  'ota.port': {
    says: 'Der Port von `ota: platform: esphome` ist nicht zu erkennen.',
    help: 'Setze `port:` im Abschnitt `ota:`.',
  },
  'ota.prepare': {
    says: 'Das Gerät konnte keinen Platz für die Firmware schaffen.',
    help: 'Starte es neu; hilft das nicht, ist die Firmware vielleicht zu groß.',
  },
  'ota.protocol': {
    says: 'Das Gerät gab eine Antwort, die keinen Sinn ergibt.',
    help: `Prüfe, ob Adresse und Port zu diesem Gerät gehören. ${again}`,
    varies: true,
  },
  'ota.rp2040_not_enough_space': {
    says: 'Auf dem Gerät ist kein Platz für eine zweite Firmware dieser Größe.',
    help: 'Mach sie kleiner, oder flashe über USB.',
  },
  'ota.signature_invalid': {
    says: 'Das Gerät hat die Firmware wegen ihrer Signatur abgelehnt.',
    help: 'Signiere sie mit dem Schlüssel der Firmware, die auf dem Gerät läuft.',
  },
  'ota.timeout': { says: 'Das Gerät ist verstummt.', help: soon, varies: true },
  'ota.unsupported_type': {
    says: 'Das Gerät beherrscht diese Art von Update nicht.',
    help: byCable,
  },
  'ota.unsupported_version': {
    says: 'Das Gerät spricht eine Version des Protokolls, die dieses Wakeflash nicht kennt.',
    help: 'Aktualisiere Wakeflash.',
    varies: true,
  },
  'ota.update_end': {
    says: 'Das Gerät hat die Firmware erhalten und konnte sie nicht annehmen.',
    help: `Prüfe, ob sie für diese Platine gebaut wurde. ${deviceLog}`,
  },
  'ota.version_downgrade': {
    says: 'Das Gerät nimmt nur Firmware, die neuer ist als seine.',
    help: 'Erhöhe die Projektversion in der Konfiguration und baue neu.',
  },
  'ota.writing_flash': {
    says: 'Das Gerät konnte die Firmware nicht in seinen Flash schreiben.',
    help: `Starte es neu; geschieht es wieder: ${byCable}`,
  },
  'ota.wrong_current_flash_config': {
    says: 'Die laufende Firmware wurde für eine andere Flash-Größe gebaut.',
    help: `Wähle die richtige Platine (esp01_1m geht immer). ${byCable}`,
  },
  'ota.wrong_key': {
    says: 'Der Schlüssel der Konfiguration ist nicht der, den das Gerät kennt.',
    help: 'Trage den Schlüssel der Firmware ein, die jetzt darauf läuft.',
    varies: true,
  },
  'ota.wrong_new_flash_config': {
    says: 'Die neue Firmware wurde für eine andere Flash-Größe gebaut, als das Gerät hat.',
    help: 'Wähle in der Konfiguration die richtige Platine und baue neu.',
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
  },
  'flash.restarted': {
    says: 'Wakeflash wurde während der Übertragung beendet.',
    varies: true,
  },
  'web_server.auth': {
    says: 'Der Webserver des Geräts hat Benutzernamen oder Passwort abgelehnt.',
    help: 'ESPHome nimmt die unter `web_server: auth:`; das Gerät will die der Firmware, die jetzt darauf läuft. `type: digest` kann ESPHome nicht.',
  },
  'web_server.cut': {
    says: 'Die Übertragung über den Webserver ist abgerissen.',
    help: `Das Gerät behält seine alte Firmware. ${soon}`,
    varies: true,
  },
  'web_server.http': {
    says: 'Der Webserver des Geräts hat das Update abgelehnt.',
    help: 'Die Firmware auf dem Gerät muss selbst `ota: platform: web_server` haben.',
    varies: true,
  },
  'web_server.not_begun': {
    says: 'ESPHome hat die Übertragung nicht begonnen.',
    help: `${nothingSent} Prüfe die Konfiguration mit \`esphome config\`, und ob dieses ESPHome \`esphome upload --ota-platform\` kennt: 2026.10 tut es.`,
    varies: true,
  },
  'web_server.not_started': {
    says: 'ESPHome kann zum Übertragen nicht gestartet werden.',
    help: 'Wähle in den Einstellungen ein anderes, oder lass Wakeflash eines installieren.',
    varies: true,
  },
  'web_server.nowhere': {
    says: 'Zum Übertragen fehlt ESPHome oder der Konfigurationsordner.',
    help: 'Wähle sie in den Einstellungen.',
  },
  'web_server.outcome_unknown': {
    says: 'Ob das Gerät die Firmware genommen hat, ist offen.',
    help: 'Wakeflash sieht nach, was auf dem Gerät läuft, wenn es wiederkommt.',
    varies: true,
  },
  'web_server.refused': {
    says: 'Das Gerät hat das Image genommen und das Update dann verworfen.',
    help: `Das Gerät behält seine alte Firmware. ${deviceLog}`,
    varies: true,
  },
  'web_server.unreachable': {
    says: 'Der Webserver des Geräts ist nicht erreichbar.',
    help: `${nothingSent} ${soon}`,
    varies: true,
  },
} satisfies Record<string, German>;
