/** What can be done anywhere: the main menu and the command palette. */
import Command from '@lucide/svelte/icons/command';
import ClipboardCopy from '@lucide/svelte/icons/clipboard-copy';
import Download from '@lucide/svelte/icons/download';
import Folder from '@lucide/svelte/icons/folder-open';
import Info from '@lucide/svelte/icons/info';
import Keyboard from '@lucide/svelte/icons/keyboard';
import Logs from '@lucide/svelte/icons/logs';
import History from '@lucide/svelte/icons/history';
import House from '@lucide/svelte/icons/house';
import Pause from '@lucide/svelte/icons/circle-pause';
import Play from '@lucide/svelte/icons/circle-play';
import Power from '@lucide/svelte/icons/power';
import Rows from '@lucide/svelte/icons/rows-3';
import Settings from '@lucide/svelte/icons/settings';
import SunMoon from '@lucide/svelte/icons/sun-moon';
import type { Theme } from '../backend';
import { texts } from '../i18n/index.svelte';
import type { App } from './app.svelte';
import { quit } from './leave';
import type { Entry } from './Menu.svelte';

export function copyReport(app: App): Promise<void> {
  return app.copy(app.backend.ask({ cmd: 'report' }), texts.nav.reportCopied);
}

export function openLogs(app: App): void {
  if (app.info) void app.report(app.backend.ask({ cmd: 'open_path', path: app.info.logDir }));
}

/** Asks for the plan of installing on everything that there is an update for. */
export function updateAll(app: App): void {
  app.dialogs.show({ kind: 'install', devices: null });
}

async function setTheme(app: App, theme: Theme): Promise<void> {
  const problem = await app.changeSettings({ theme });
  if (problem) app.show(problem);
}

export function mainMenu(app: App): Entry[] {
  const t = texts.nav;
  const { Ctrl } = texts.keys.names;
  return [
    {
      key: 'palette',
      label: t.commands,
      Icon: Command,
      keys: `${Ctrl} K`,
      run: () => app.dialogs.show({ kind: 'palette' }),
    },
    {
      key: 'keys',
      label: t.shortcuts,
      Icon: Keyboard,
      keys: '?',
      run: () => app.dialogs.show({ kind: 'keys' }),
    },
    // Files of another computer aren't opened by this one's desktop.
    ...(app.place
      ? []
      : [
          {
            key: 'folder',
            label: t.openFolder,
            Icon: Folder,
            apart: true,
            run: () => void app.report(app.backend.ask({ cmd: 'open_folder', device: null })),
          },
        ]),
    { key: 'logs', label: texts.app.openLogs, Icon: Logs, run: () => openLogs(app) },
    { key: 'report', label: t.copyReport, Icon: ClipboardCopy, run: () => void copyReport(app) },
    {
      key: 'settings',
      label: t.settings,
      Icon: Settings,
      apart: true,
      keys: `${Ctrl} ,`,
      run: () => app.openSettings(),
    },
    { key: 'about', label: t.about, Icon: Info, run: () => app.openSettings('about') },
    {
      key: 'quit',
      label: t.quit,
      Icon: Power,
      apart: true,
      keys: `${Ctrl} Q`,
      run: () => void quit(app),
    },
  ];
}

/** The commands of the palette: those of the menu, and what has a place of its own in the window. */
export function allCommands(app: App): Entry[] {
  const t = texts.nav;
  const paused = app.store.status?.paused ?? false;
  const themes: Theme[] = ['system', 'light', 'dark'];
  return [
    { key: 'update-all', label: texts.plan.updateAll, Icon: Download, run: () => updateAll(app) },
    { key: 'home', label: t.home, Icon: House, run: () => app.go('home') },
    { key: 'devices', label: t.devices, Icon: Rows, run: () => app.go('devices') },
    {
      key: 'activity',
      label: texts.activity.title,
      Icon: History,
      run: () => app.go('activity'),
    },
    {
      key: 'pause',
      label: paused ? t.resume : t.pause,
      Icon: paused ? Play : Pause,
      run: () => void app.report(app.backend.ask({ cmd: 'set_paused', paused: !paused })),
    },
    ...mainMenu(app).filter(({ key }) => key !== 'palette'),
    ...themes.map((theme) => ({
      key: `theme-${theme}`,
      label: t.theme(texts.settings.themes[theme]),
      Icon: SunMoon,
      run: () => void setTheme(app, theme),
    })),
  ];
}
