/** Every problem that the application knows has German words. Reads the sources of the application. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import examples from '../../src-tauri/core/src/words/examples.json';
import pipSteps from '../../src-tauri/core/src/words/pip_steps.json';
import { problems } from '../src/lib/backend/fake/problems';
import { stories } from '../src/lib/backend/fake/stories';
import { germanCodes, germanProblem } from '../src/lib/i18n/de/problems';
import { germanSentence } from '../src/lib/i18n/de/sentences';
import { speak } from '../src/lib/i18n/index.svelte';
import { say } from '../src/lib/i18n/problems';

const SOURCES = join(import.meta.dirname, '../../src-tauri');
/** Keys of ESPHome's YAML and names of files, which look like codes. */
const NO_CODES =
  /^(wifi|ethernet|openthread|deep_sleep|substitutions|api)\.|^esphome\.(name|friendly_name|platform|area|exe)$|\.(yaml|yml|json|rs|bin|db|log|toml|svg|png|py|h|txt|local|exe|tmp|partial|desktop)$/;

function sources(): string[] {
  return (
    readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
      .filter(
        (file) => file.endsWith('.rs') && !/(^|\/)(tests|target|benches)(\/|\.rs$)/.test(file),
      )
      // The points at which a test ends the process are named alike.
      .filter((file) => !file.endsWith('engine/src/kill.rs'))
      .map(
        (file) =>
          readFileSync(join(SOURCES, file), 'utf8').split(/^#\[cfg\(test\)\]\nmod \w+ \{/m)[0] ??
          '',
      )
  );
}

/** What a problem's code is given as. */
function given(text: string): string[] {
  return [...text.matchAll(/Problem::new\(\s*([^,]*),/g)].map((found) => found[1] ?? '');
}

function codes(): string[] {
  const texts = sources();
  const literal = /^"([a-z_]+)\./;
  const areas = new Set([
    ...texts.flatMap(given).flatMap((code) => literal.exec(code)?.[1] ?? []),
    ...germanCodes.map((code) => code.split('.')[0] ?? ''),
  ]);
  const all = texts.flatMap((text) => {
    // Where a code is chosen beforehand, it is any text that looks like one.
    const chosen = given(text).some((code) => !literal.test(code));
    return [...text.matchAll(/"(([a-z_]+)\.[a-z0-9_]+)"/g)]
      .filter((found) => (chosen || areas.has(found[2] ?? '')) && !NO_CODES.test(found[1] ?? ''))
      .map((found) => found[1] ?? '');
  });
  return [...new Set(all)].sort();
}

/** The codes of what goes wrong in the window itself. */
function ownCodes(): string[] {
  const own = join(import.meta.dirname, '../src');
  return readdirSync(own, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|svelte)$/.test(file) && !file.includes('fake'))
    .flatMap((file) => [...readFileSync(join(own, file), 'utf8').matchAll(/code: '([^']+)'/g)])
    .map((found) => found[1] ?? '');
}

describe('problems', () => {
  it('all have German words', () => {
    const known = codes();
    expect(known.length).toBeGreaterThan(80);
    expect(known.filter((code) => !germanCodes.includes(code))).toEqual([]);
    const all = [...known, ...ownCodes()];
    expect(germanCodes.filter((code) => !all.includes(code))).toEqual([]);
  });

  it('have codes that are written out, so that they are found', () => {
    const other = sources()
      .flatMap(given)
      .filter((code) => !/^("[a-z_]+\.[a-z0-9_]+"|code|error\.code\(\))$/.test(code));
    expect(other).toEqual([]);
    const made = sources().filter((text) => /(?:format|concat)!\(\s*"[a-z_]+\.[{"]/.test(text));
    expect(made).toEqual([]);
  });

  it('of the stories are those of the application', () => {
    const told = JSON.stringify(Object.values(stories).map((story) => story()));
    const codes = [...told.matchAll(/"code":"([^"]+)"/g)].map((found) => found[1] ?? '');
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !germanCodes.includes(code))).toEqual([]);
  });

  it('are read as the application reads them for its notifications', () => {
    for (const { code, message, german } of examples) {
      expect(germanProblem({ code, message, help: null }).message).toBe(german);
    }
  });

  it('of the stories have a title, a sentence and a help in both languages', () => {
    for (const problem of Object.values(problems)) {
      for (const language of ['en', 'de'] as const) {
        speak(language);
        const said = say(problem);
        expect(said.title, problem.code).not.toBe(said.message);
        expect(said.title.length, said.title).toBeLessThanOrEqual(36);
        expect(said.help === null, `${problem.code}: ${said.help}`).toBe(problem.help === null);
        expect(said.details ?? '').toContain(problem.details ?? '');
      }
    }
    speak('en');
  });

  it('keep what varies, in the sentence or as details', () => {
    const said = (code: string, message: string) => germanProblem({ code, message, help: 'Help.' });
    expect(said('config.refused', 'Line 3, column 7: a tab.').details).toBeNull();
    expect(said('build.not_started', 'ESPHome can’t be started: no.').details).toBe(
      'ESPHome can’t be started: no. Help.',
    );
    expect(said('open.missing', 'That file or directory is gone.').details).toBeNull();
    const after = 'The connection to the device was lost after the whole firmware was sent.';
    const help =
      'The device may have taken the firmware nevertheless. Wakeflash looks at what it runs when it comes back.';
    expect(germanProblem({ code: 'ota.closed', message: after, help }).help).toMatch(
      /^Das Gerät kann die Firmware trotzdem genommen haben/,
    );
  });
});

/** The sentences that the application's state machine says: timelines, but for problems and notifications. */
function timelineSentences(): string[] {
  const dispatch = join(SOURCES, 'core/src/dispatch');
  const others =
    /(Problem::new\(\s*"[^"]*",\s*|with_help\(\s*|NotificationKind::Held[^"]*"[^"]*"[^"]*)(format!\(\s*)?"(?:[^"\\]|\\.)*"/g;
  const texts = readdirSync(dispatch, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.rs') && !/^tests\/|\/schedule\.rs$/.test(file))
    .map(
      (file) =>
        readFileSync(join(dispatch, file), 'utf8').split(/^#\[cfg\(test\)\]\nmod \w+ \{/m)[0],
    )
    .map((text) => (text ?? '').replaceAll(/^\s*\/\/.*$/gm, '').replaceAll(/\\\n\s*/g, ''));
  const said = texts.flatMap((text) =>
    [...text.replaceAll(others, '').matchAll(/"([A-Z{](?:[^"\\]|\\.)*\.)"/g)].map(
      (found) => found[1] ?? '',
    ),
  );
  return [...new Set(said)].map((text) => text.replaceAll(/\{[^}]*\}/g, '7'));
}

describe('sentences', () => {
  it('of timelines all have German words', () => {
    const said = timelineSentences();
    expect(said.length).toBeGreaterThan(25);
    expect(said.filter((text) => germanSentence(text) === text)).toEqual([]);
  });

  it('of the installation of ESPHome all have German words', () => {
    const engine = readFileSync(join(SOURCES, 'engine/src/esphome.rs'), 'utf8');
    const steps = [...engine.matchAll(/begun\("([^"]+)"\)/g)].map((found) => found[1] ?? '');
    expect(steps.length).toBeGreaterThan(3);
    expect(steps.filter((text) => germanSentence(text) === text)).toEqual([]);
  });

  it('of what pip does are read with every number', () => {
    for (const { english, german } of pipSteps) expect(germanSentence(english)).toBe(german);
  });

  it('are German where they are known', () => {
    expect(germanSentence('Connected to 10.0.0.7 (attempt 2).')).toBe(
      'Verbunden mit 10.0.0.7 (Versuch 2).',
    );
    expect(germanSentence('Compiling main.cpp')).toBe('Kompiliert main.cpp');
    expect(germanSentence('Something new.')).toBe('Something new.');
  });
});
