/** Every German text that the window shows. */
import type { Texts } from '../en';
import { devices } from './devices';
import { home } from './home';
import { settings } from './settings';
import { updates } from './updates';
import { window } from './window';

export const de: Texts = { ...window, ...devices, ...home, ...updates, ...settings };
