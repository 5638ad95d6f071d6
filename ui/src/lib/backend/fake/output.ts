/** What ESPHome says when it builds, shortened. */
const G = '\u001b[32m';
const Y = '\u001b[33m';
const C = '\u001b[36m';
const B = '\u001b[1m';
const R = '\u001b[0m';

export function buildOutput(name: string): string[] {
  const build = `.pioenvs/${name}`;
  return [
    `${G}INFO ESPHome 2026.10.0${R}`,
    `${G}INFO Reading configuration ${name}.yaml...${R}`,
    `${Y}WARNING GPIO12 is a strapping PIN and should only be used for I/O with care.${R}`,
    `${G}INFO Generating C++ source...${R}`,
    `${G}INFO Compiling app... Build path: .esphome/build/${name}${R}`,
    `Processing ${C}${name}${R} (board: esp32dev; framework: espidf; platform: platformio/espressif32)`,
    '--------------------------------------------------------------------------------',
    'HARDWARE: ESP32 240MHz, 320KB RAM, 4MB Flash',
    ...Array.from(
      { length: 24 },
      (_, n) => `Compiling ${build}/src/esphome/core/part_${n + 1}.cpp.o`,
    ),
    `Linking ${build}/firmware.elf`,
    `RAM:   [=         ]  11.2% (used 36732 bytes from 327680 bytes)`,
    `Flash: [=====     ]  47.9% (used 878213 bytes from 1835008 bytes)`,
    `Building ${build}/firmware.bin`,
    `Creating esp32 image... Successfully created esp32 image.`,
    `======================== [${G}${B}SUCCESS${R}] Took 48.31 seconds ========================`,
    `${G}INFO Successfully compiled program.${R}`,
  ];
}
