/** The lines of timelines and the steps of builds in German. What isn't known stays English. */
const sentences: readonly (readonly [RegExp, string])[] = [
  [
    /^The device goes by “(.+)” until it runs this build, then by “(.+)”\.$/,
    'Das Gerät heißt „$1“, bis dieser Build darauf läuft, und dann „$2“.',
  ],
  [/^Its build files are cleaned before\.$/, 'Vorher werden die Build-Dateien aufgeräumt.'],
  [/^Its build files are deleted before\.$/, 'Vorher werden die Build-Dateien gelöscht.'],
  [/^Install requested\.$/, 'Installation gewünscht.'],
  [/^The previous build was requested\.$/, 'Der vorige Build gewünscht.'],
  [/^The previous build was requested\.$/, 'Der vorige Build wurde gewünscht.'],
  [
    /^You have accepted the board that claims this name\.$/,
    'Du hast das Board angenommen, das diesen Namen beansprucht.',
  ],
  [/^ESPHome builds the firmware\.$/, 'ESPHome baut die Firmware.'],
  [
    /^Built: (\d+ (?:kB|KiB))\. Waiting for the device\.$/,
    'Gebaut: $1. Jetzt wird auf das Gerät gewartet.',
  ],
  [/^Connected to (.+) \(attempt (\d+)\)\.$/, 'Verbunden mit $1 (Versuch $2).'],
  [
    /^Almost the whole image is sent; .*$/,
    'Fast das ganze Image ist gesendet; ab hier kann das Gerät es installieren.',
  ],
  [
    /^The device took the new firmware; .*$/,
    'Das Gerät hat die neue Firmware genommen; jetzt muss es wiederkommen.',
  ],
  [/^The device is back; .*$/, 'Das Gerät ist wieder da; jetzt muss es sagen, was auf ihm läuft.'],
  [
    /^Installed: the device announced .*$/,
    'Installiert: Das Gerät hat die neue Firmware gemeldet.',
  ],
  [
    /^Installed: the device acknowledged .*$/,
    'Installiert: Das Gerät hat das Update bestätigt und ist wiedergekommen.',
  ],
  [
    /^Installed: the device already runs .*$/,
    'Installiert: Auf dem Gerät läuft dieser Build schon, es wird nichts weiter gesendet.',
  ],
  [
    /^(\d+) transfers began within an hour: the next one begins in (\d+) min at the earliest\.$/,
    'Innerhalb einer Stunde begannen $1 Übertragungen: Die nächste beginnt frühestens in $2 min.',
  ],
  [/^Cancelled\.$/, 'Abgebrochen.'],
  [
    /^Cancelled, after the whole image .*$/,
    'Abgebrochen, als das ganze Image das Gerät erreicht haben konnte: Vielleicht läuft es.',
  ],
  [/^A newer update took its place\.$/, 'Ein neueres Update ist an seine Stelle getreten.'],
  [
    /^To be tried again, in (\d+) min at the latest\.$/,
    'Wird wieder versucht, spätestens in $1 min.',
  ],
  [/^To be built again from the changed sources\.$/, 'Wird aus den geänderten Dateien neu gebaut.'],
  [/^Will be flashed as it was built\.$/, 'Wird so geflasht, wie es gebaut wurde.'],
  [
    /^The changed sources don't matter to this update\.$/,
    'Die geänderten Dateien sind für dieses Update ohne Belang.',
  ],
  [
    /^The sources are again what was built\. Waiting for the device\.$/,
    'Die Dateien sind wieder, was gebaut wurde. Wartet auf das Gerät.',
  ],
  [/^Held: (.+) changed since the build\.$/, 'Zurückgehalten: $1 seit dem Build geändert.'],
  [
    /^The device has another OTA password or key: .*$/,
    'Das Gerät hat ein anderes OTA-Passwort oder einen anderen Schlüssel: Die des zuletzt installierten Builds werden versucht.',
  ],
  [
    /^Wakeflash was ended during the build; .*$/,
    'Wakeflash wurde während des Builds beendet; er beginnt von vorn.',
  ],
  [
    /^Wakeflash was ended when the whole image .*$/,
    'Wakeflash wurde beendet, als das ganze Image gesendet sein konnte: Das Gerät muss sagen, was auf ihm läuft.',
  ],
  [
    /^Wakeflash was ended during the transfer; .*$/,
    'Wakeflash wurde während der Übertragung beendet; das Gerät behält seine alte Firmware.',
  ],
  [
    /^The device still runs its old firmware: .*$/,
    'Auf dem Gerät läuft noch die alte Firmware: Das Image war nicht angekommen.',
  ],
  [
    /^This device can't say what it runs, .*$/,
    'Dieses Gerät kann nicht sagen, was auf ihm läuft, und ob es das Image nahm, ist offen: Es wird noch einmal geflasht.',
  ],
  [/^The firmware travels encrypted\.$/, 'Die Firmware wird verschlüsselt übertragen.'],
  [
    /^The firmware travels in the clear: the device offers no encryption\..*$/,
    'Die Firmware wird unverschlüsselt übertragen: Das Gerät bietet keine Verschlüsselung an. Nach dieser Installation tut es das, wenn ESPHome 2026.9 oder neuer sie gebaut hat.',
  ],
  [
    /^The firmware travels in the clear: `ota: platform: web_server` .*$/,
    'Die Firmware wird unverschlüsselt übertragen: `ota: platform: web_server` kann nicht verschlüsseln. `platform: esphome` kann es, mit einem Schlüssel (ab ESPHome 2026.9).',
  ],
  [
    /^The firmware travels in the clear: no key is configured\..*$/,
    'Die Firmware wird unverschlüsselt übertragen: Es ist kein Schlüssel eingerichtet. Mit einem Schlüssel unter `api: encryption:`, oder ohne `api:` unter `ota: encryption:`, werden spätere Updates verschlüsselt übertragen (ab ESPHome 2026.9).',
  ],
  [
    /^ESPHome sends the image; .*$/,
    'ESPHome sendet das Image; ab hier kann das Gerät es installieren.',
  ],
  [
    /^The new firmware has stayed on the device\.$/,
    'Die neue Firmware ist auf dem Gerät geblieben.',
  ],
  [/^The device runs another firmware now\.$/, 'Auf dem Gerät läuft jetzt eine andere Firmware.'],
  [
    /^The device woke again; it doesn't say what it runs\.$/,
    'Das Gerät ist wieder aufgewacht; es sagt nicht, was auf ihm läuft.',
  ],
  [
    /^(.+) changed since the build; flashed as it was built, .*$/,
    '$1 seit dem Build geändert; wird geflasht, wie es gebaut wurde, so wollen es die Einstellungen.',
  ],
  [/^(.+) changed since the build\.$/, '$1 seit dem Build geändert.'],
  [
    /^The cancel was undone: it goes on where it was\.$/,
    'Abbrechen rückgängig gemacht: Es geht weiter, wo es war.',
  ],
  [/^Waiting for its turn$/, 'Wartet, bis es an der Reihe ist'],
  [/^Connecting$/, 'Verbindet'],
  [/^Sending$/, 'Sendet'],
  [/^Finishing$/, 'Schließt ab'],
  [/^Compiling (\d+) of (\d+)$/, 'Kompiliert $1 von $2'],
  [/^Reading the configuration$/, 'Konfiguration wird gelesen'],
  [/^Generating the source$/, 'Quelltext wird erzeugt'],
  [/^Compiling( .*)?$/, 'Kompiliert$1'],
  [/^Linking$/, 'Linkt'],
  [/^Making the image$/, 'Image wird erzeugt'],
  [/^Compiled$/, 'Kompiliert'],
  [/^Sending the image$/, 'Image wird gesendet'],
  [/^Looking for Python$/, 'Python wird gesucht'],
  [/^Creating an environment$/, 'Umgebung wird angelegt'],
  [/^Looking for ESPHome's packages$/, 'Pakete von ESPHome werden gesucht'],
  [
    /^Collecting what ESPHome needs: (\d+) packages?$/,
    'Sammelt die Pakete, die ESPHome braucht: $1',
  ],
  [
    /^Collecting what ESPHome needs: (\d+) packages?, (\d+) MB$/,
    'Sammelt die Pakete, die ESPHome braucht: $1, $2 MB',
  ],
  [/^Downloading (\d+) of (\d+) packages?, (\d+) MB$/, 'Lädt Paket $1 von $2, $3 MB'],
  [/^Installing (\d+) packages?$/, 'Installiert die Pakete ($1)'],
  [/^Starting ESPHome for the first time$/, 'ESPHome startet zum ersten Mal'],
];

export function germanSentence(text: string): string {
  for (const [pattern, words] of sentences) {
    if (pattern.test(text)) return text.replace(pattern, words);
  }
  return text;
}
