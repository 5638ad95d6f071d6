/**
 * A screen without a monitor and a home that nobody else uses, for the programs that the scripts start. They live as
 * long as the script: whatever way it ends, none of them stays behind.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * The pointer is in the middle of the screen, and without a window manager it gives a window the focus. So the browser's
 * window lies where the pointer is on its bar: the page has the focus, and nothing in it is hovered over.
 */
const SCREEN = { width: 2400, height: 3900 };
export const CORNER = { x: SCREEN.width / 2 - 240, y: SCREEN.height / 2 - 16 };
const PARTS = ['.config/gtk-3.0', '.cache', '.local/share', 'run'];

const BINARY = { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 };
const run = promisify(execFile);

/** What must not outlive this script. */
const children = new Set();
const directories = new Set();

/** A temporary directory that goes when the script ends. */
export function temporary(name) {
  const path = mkdtempSync(join(tmpdir(), `wakeflash-${name}-`));
  directories.add(path);
  return path;
}

export function need(program) {
  if (spawnSync('sh', ['-c', 'command -v "$0"', program]).status !== 0) {
    throw new Error(`${program} is not installed: run \`make setup\`.`);
  }
}

/**
 * Starts a program as the head of a group of processes, which is ended as a whole; the kernel ends its head, should
 * this script be killed.
 */
export function start(program, args, options) {
  need(program);
  const contained = ['--pdeathsig', 'KILL', program, ...args];
  const child = spawn('setpriv', contained, { ...options, detached: true });
  child.gone = new Promise((resolve) => {
    child.on('exit', resolve);
    child.on('error', resolve);
  });
  children.add(child);
  return child;
}

function kill(child) {
  if (!children.delete(child) || child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

process.on('exit', () => {
  for (const child of [...children]) kill(child);
  // A program that has just been ended may still be writing its last file.
  const stubborn = { recursive: true, force: true, maxRetries: 10, retryDelay: 50 };
  for (const path of directories) rmSync(path, stubborn);
});
process.on('SIGHUP', () => process.exit(129));
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

/** A desktop whose programs run in `environment`. */
export class Desktop {
  static async start() {
    const desktop = new Desktop();
    desktop.home = temporary('desktop');
    for (const part of PARTS) mkdirSync(join(desktop.home, part), { recursive: true, mode: 0o700 });
    // Asks for less motion, as a user does in the settings of the desktop; and none of this machine's themes.
    const settings = ['gtk-enable-animations=0', 'gtk-theme-name=Adwaita'];
    const file = join(desktop.home, '.config/gtk-3.0/settings.ini');
    writeFileSync(file, ['[Settings]', ...settings, ''].join('\n'));

    const screen = `${SCREEN.width}x${SCREEN.height}x24`;
    const options = ['-screen', '0', screen, '-nolisten', 'tcp', '-noreset'];
    desktop.server = start('Xvfb', ['-displayfd', '3', ...options], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    const number = await new Promise((resolve, reject) => {
      desktop.server.stdio[3].once('data', (data) => resolve(String(data).trim()));
      desktop.server.gone.then(() => reject(new Error('Xvfb has ended.')));
    });
    const { home } = desktop;
    desktop.environment = {
      PATH: process.env.PATH,
      DISPLAY: `:${number}`,
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      XDG_CACHE_HOME: join(home, '.cache'),
      XDG_DATA_HOME: join(home, '.local/share'),
      XDG_RUNTIME_DIR: join(home, 'run'),
      LC_ALL: 'C.UTF-8',
      TZ: 'UTC',
      GDK_BACKEND: 'x11',
      // Neither settings nor accessibility services: they would be started by a bus, and there is none.
      DBUS_SESSION_BUS_ADDRESS: 'disabled:',
      GSETTINGS_BACKEND: 'memory',
      GIO_USE_VFS: 'local',
      NO_AT_BRIDGE: '1',
      // Painted without OpenGL, which there is no graphics card for: that takes half the time.
      WEBKIT_DISABLE_DMABUF_RENDERER: '1',
    };
    return desktop;
  }

  /** A part of the screen, as PPM. */
  async picture({ x, y, width, height }) {
    need('import');
    const part = `-window root -crop ${width}x${height}+${x}+${y} +repage`.split(' ');
    const options = { ...BINARY, env: this.environment };
    const { stdout } = await run('import', [...part, 'ppm:-'], options);
    return stdout;
  }
}
