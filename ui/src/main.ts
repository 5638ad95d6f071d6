import '@fontsource-variable/inter/index.css';
import './app.css';
import { mount } from 'svelte';
import Root from './Root.svelte';
import type { Backend } from './lib/backend';
import { insideTauri, tauriBackend } from './lib/backend/tauri';
import { texts } from './lib/i18n/index.svelte';
import { beginInKeptTheme } from './lib/shared/kept';

async function chooseBackend(): Promise<Backend | null> {
  if (insideTauri()) return tauriBackend();
  if (import.meta.env.DEV || import.meta.env.VITE_BACKEND === 'fake') {
    const { fakeBackend } = await import('./lib/backend/fake');
    return fakeBackend(new URLSearchParams(location.search).get('story') ?? 'demo');
  }
  return null;
}

beginInKeptTheme();
const target = document.getElementById('app');
if (target) {
  const backend = await chooseBackend();
  if (backend) mount(Root, { target, props: { backend } });
  else target.textContent = texts.app.noBackend;
}
