/** What can go wrong between Wakeflash and a device. */
import type { Exact, German } from './problems';

const again = 'Es wird beim nächsten Aufwachen erneut versucht.';
const soon = 'Es wird erneut versucht, sobald das Gerät antwortet.';
const byCable = 'Flashe es einmal über USB.';
const deviceLog = 'Sieh im Protokoll des Geräts nach.';
const checking =
  'Das Gerät kann die Firmware trotzdem genommen haben: Wakeflash sieht nach, was darauf läuft, wenn es wiederkommt. Du musst nichts tun.';
const busy: Exact = [
  /^The device took the connection but didn't answer: .*$/s,
  'Das Gerät nahm die Verbindung an und antwortete nicht: Wahrscheinlich ist es mit einer anderen beschäftigt.',
  'Es wird bald erneut versucht; beende andere Übertragungen zu diesem Gerät.',
];
const webEnded: Exact = [
  /^(ESPHome ended before the device had confirmed the update|The upload took too long and was ended|The upload came to a halt and was ended)(: .*)?\.$/s,
  '$1$2.',
];
const nothingSent = 'Nichts wurde gesendet.';

export const transfer = {
  'flash.already_running': { says: 'Auf dem Gerät läuft dieser Build schon.' },
  'flash.no_connection': {
    says: 'Die Verbindung war zu, bevor sie genutzt werden konnte.',
    exact: [
      [
        /^The connection was closed before it could be used\.$/,
        'Die Verbindung war zu, bevor sie genutzt werden konnte.',
      ],
    ],
  },
  'flash.not_recorded': {
    says: 'Die Übertragung wurde vor ihrem Ende angehalten.',
    help: 'Sieh nach, ob die Festplatte voll ist. Es wird erneut versucht.',
    varies: true,
    exact: [
      [
        /^The transfer was stopped before its end because its state could not be saved: (.*)$/s,
        'Die Übertragung wurde vor ihrem Ende angehalten, weil ihr Stand nicht gespeichert werden konnte: $1',
      ],
    ],
  },
  'flash.random': { says: 'Das System gab keine Zufallszahlen.', varies: true },
  'flash.refused': {
    says: nothingSent,
    varies: true,
    exact: [
      [
        /^Wakeflash could not make sure in time that this is the right device, .*$/s,
        'Wakeflash konnte nicht rechtzeitig feststellen, ob dies das richtige Gerät ist; deshalb wurde nichts gesendet.',
        soon,
      ],
    ],
  },
  'flash.stopped': { says: 'Dieses Update wird nicht mehr geflasht.' },
  'gate.other_device': {
    says: 'Unter dieser Adresse hat ein anderes Gerät geantwortet.',
    help: `${nothingSent} Das Update wartet auf das richtige Gerät. Hast du die Platine getauscht, brich das Update ab und installiere neu: Das nimmt die an, die jetzt da ist.`,
    varies: true,
    exact: [
      [/^At (\S+) answers “(.+)” and not “(.+)”\.$/, 'Unter $1 antwortet „$2“ und nicht „$3“.'],
      [
        /^The device at (\S+) calls itself “(.+)”, but its MAC address is (\S+) and not (\S+)\.$/,
        'Das Gerät unter $1 nennt sich „$2“, hat aber die MAC-Adresse $3 und nicht $4.',
      ],
    ],
  },
  'gate.refused': { says: nothingSent, varies: true },
  'gate.unidentified': {
    says: 'Wakeflash konnte nicht feststellen, welches Gerät geantwortet hat.',
    help: `${nothingSent} Denn die Firmware enthält deine WLAN-Zugangsdaten. Lass das Gerät sich per mDNS melden, gib ihm einen eigenen Schlüssel oder eine feste Adresse in seiner Konfiguration.`,
    varies: true,
    exact: [
      [
        /^Something answered at (\S+), but it did not prove that it is “(.+)”\.$/,
        'Unter $1 hat etwas geantwortet, aber nicht bewiesen, dass es „$2“ ist.',
      ],
    ],
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
  'ota.cancelled': {
    says: 'Das Update wurde abgebrochen.',
    varies: true,
    exact: [
      [
        /^The update was cancelled (.+?)\. The device may have taken .*$/s,
        'Das Update wurde abgebrochen, $1.',
        checking,
      ],
      [
        /^The update was cancelled (.+?)\. The device keeps .*$/s,
        'Das Update wurde abgebrochen, $1.',
        'Das Gerät behält seine alte Firmware.',
      ],
    ],
  },
  'ota.closed': {
    says: 'Die Verbindung zum Gerät ist abgerissen.',
    help: soon,
    varies: true,
    exact: [
      busy,
      [
        /^The connection to the device was lost (.+?)\. The device may have taken .*$/s,
        'Die Verbindung zum Gerät ist abgerissen, $1.',
        checking,
      ],
      [
        /^The connection to the device was lost (.+?)\. It will be tried again .*$/s,
        'Die Verbindung zum Gerät ist abgerissen, $1.',
      ],
    ],
  },
  'ota.credentials_changed': {
    says: 'OTA-Passwort oder Schlüssel sind andere als beim letzten Build; das Gerät hat vielleicht noch die alten, und Wakeflash kennt sie nicht.',
    help: 'Lehnt das Gerät das Update ab, trage das alte Passwort oder den alten Schlüssel wieder ein, installiere und ändere sie danach.',
    exact: [
      [
        /^The OTA password or key is another one than at the last build, .*$/s,
        'OTA-Passwort oder Schlüssel sind andere als beim letzten Build; das Gerät hat vielleicht noch die alten, und Wakeflash kennt sie nicht.',
      ],
    ],
  },
  'ota.device_cannot_encrypt': {
    says: 'Die Konfiguration verlangt verschlüsselte Updates, und die Firmware auf dem Gerät kann das nicht: Es wird dieses nicht nehmen.',
    help: 'Setze für dieses eine Update `allow_plaintext_upload: true` unter `ota: encryption:` und baue neu, oder flashe das Gerät einmal über USB.',
    exact: [
      [
        /^The configuration requires encrypted updates, and the firmware on the device can't encrypt: .*$/s,
        'Die Konfiguration verlangt verschlüsselte Updates, und die Firmware auf dem Gerät kann das nicht: Es wird dieses nicht nehmen.',
      ],
    ],
  },
  'ota.device_unknown': {
    says: 'Das Gerät hat einen Fehler gemeldet, ohne zu sagen, welchen.',
    exact: [
      [
        /^The device reported an error without saying which\. .*$/s,
        'Das Gerät hat einen Fehler gemeldet, ohne zu sagen, welchen.',
      ],
    ],
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
    exact: [
      [
        /^The connection could not be encrypted \((.*)\)\. .*$/s,
        'Die Verbindung konnte nicht verschlüsselt werden ($1).',
      ],
    ],
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
    exact: [
      [
        /^The device refused the encrypted connection: “(.*)”\. .*$/s,
        'Das Gerät hat die verschlüsselte Verbindung abgelehnt: „$1“.',
      ],
    ],
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
    exact: [
      [
        /^The firmware was damaged on its way, and the device discarded it\. .*$/s,
        'Die Firmware wurde unterwegs beschädigt, und das Gerät hat sie verworfen.',
      ],
    ],
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
    exact: [
      [
        /^The device could not make room for the firmware\. .*$/s,
        'Das Gerät konnte keinen Platz für die Firmware schaffen.',
      ],
    ],
    help: 'Starte es neu; hilft das nicht, ist die Firmware vielleicht zu groß.',
  },
  'ota.protocol': {
    says: 'Das Gerät gab eine Antwort, die keinen Sinn ergibt.',
    help: `Prüfe, ob Adresse und Port zu diesem Gerät gehören. ${again}`,
    varies: true,
    exact: [
      [
        /^The device gave an answer that makes no sense (.+?)\. The device may have taken .*$/s,
        'Das Gerät gab eine Antwort, die keinen Sinn ergibt, $1.',
        checking,
      ],
      [
        /^The device gave an answer that makes no sense (.+?)\. Check .*$/s,
        'Das Gerät gab eine Antwort, die keinen Sinn ergibt, $1.',
      ],
    ],
  },
  'ota.rp2040_not_enough_space': {
    says: 'Auf dem Gerät ist kein Platz für eine zweite Firmware dieser Größe.',
    help: 'Mach sie kleiner, oder flashe über USB.',
  },
  'ota.signature_invalid': {
    says: 'Das Gerät hat die Firmware wegen ihrer Signatur abgelehnt.',
    help: 'Signiere sie mit dem Schlüssel der Firmware, die auf dem Gerät läuft.',
  },
  'ota.timeout': {
    says: 'Das Gerät ist verstummt.',
    help: soon,
    varies: true,
    exact: [
      busy,
      [
        /^The device fell silent (.+?)\. The device may have taken .*$/s,
        'Das Gerät ist verstummt, $1.',
        checking,
      ],
      [
        /^The device fell silent (.+?)\. It will be tried again .*$/s,
        'Das Gerät ist verstummt, $1.',
      ],
    ],
  },
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
    exact: [
      [
        /^The device could not write the firmware to its flash\. .*$/s,
        'Das Gerät konnte die Firmware nicht in seinen Flash schreiben.',
      ],
    ],
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
  'flash.restarted': {
    says: 'Das Gerät hat mitten in der Übertragung neu gestartet.',
    exact: [
      [
        /^The device has restarted in the middle of the transfer\.$/,
        'Das Gerät hat mitten in der Übertragung neu gestartet.',
      ],
    ],
  },
  'web_server.auth': {
    says: 'Der Webserver des Geräts hat Benutzernamen oder Passwort abgelehnt.',
    help: 'ESPHome nimmt die unter `web_server: auth:`; das Gerät will die der Firmware, die jetzt darauf läuft. `type: digest` kann ESPHome nicht.',
  },
  'web_server.cut': {
    says: 'Die Übertragung über den Webserver ist abgerissen.',
    exact: [webEnded],
    help: `Das Gerät behält seine alte Firmware. ${soon}`,
    varies: true,
  },
  'web_server.http': {
    says: 'Der Webserver des Geräts hat das Update abgelehnt.',
    exact: [
      [
        /^The web server of the device refused the update: (.*)\.$/s,
        'Der Webserver des Geräts hat das Update abgelehnt: $1.',
      ],
    ],
    help: 'Die Firmware auf dem Gerät muss selbst `ota: platform: web_server` haben.',
    varies: true,
  },
  'web_server.not_begun': {
    says: 'ESPHome hat die Übertragung nicht begonnen.',
    exact: [webEnded],
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
    exact: [webEnded],
    help: 'Wakeflash sieht nach, was auf dem Gerät läuft, wenn es wiederkommt.',
    varies: true,
  },
  'web_server.refused': {
    says: 'Das Gerät hat das Image genommen und das Update dann verworfen.',
    exact: [
      [
        /^The device took the image and then failed the update: (.*)\.$/s,
        'Das Gerät hat das Image genommen und das Update dann verworfen: $1.',
      ],
    ],
    help: `Das Gerät behält seine alte Firmware. ${deviceLog}`,
    varies: true,
  },
  'web_server.unreachable': {
    says: 'Der Webserver des Geräts ist nicht erreichbar.',
    exact: [webEnded],
    help: `${nothingSent} ${soon}`,
    varies: true,
  },
} satisfies Record<string, German>;
