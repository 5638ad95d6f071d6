/** The texts of the window in the chosen language. Whoever reads `texts` follows a change of the language. */
import type { Language } from '../backend';
import { de } from './de';
import { en, type Texts } from './en';

const catalogues = { en, de } satisfies Record<string, Texts>;
export type Spoken = keyof typeof catalogues;

let spoken: Spoken = $state('en');
let locale = $state(localeFor('en'));

/** The user's own variant of a language (de-AT) when they have one. English dates are written day first, 24 h. */
function localeFor(language: Spoken): string {
  const own = navigator.languages.find((tag) => tag.split('-')[0] === language);
  if (own && own !== language && own !== 'en-US') return own;
  return language === 'en' ? 'en-GB' : language;
}

/** The first language of the desktop that there are texts in. */
function ofSystem(): Spoken {
  for (const tag of navigator.languages) {
    const language = tag.split('-')[0];
    if (language === 'en' || language === 'de') return language;
  }
  return 'en';
}

export function speak(language: Language): void {
  spoken = language === 'system' ? ofSystem() : language;
  locale = localeFor(spoken);
  document.documentElement.lang = spoken;
}

export function spokenLanguage(): Spoken {
  return spoken;
}

/** For Intl. */
export function currentLocale(): string {
  return locale;
}

export const texts: Texts = new Proxy(en, {
  get: (_, section) => Reflect.get(catalogues[spoken], section),
});
