/** Every English text that the window shows. Times, names and numbers are put in by the functions. */
import { devices } from './devices';
import { home } from './home';
import { settings } from './settings';
import { updates } from './updates';
import { window } from './window';

export const en = { ...window, ...devices, ...home, ...updates, ...settings };

/** What a language must have. */
export type Texts = typeof en;
