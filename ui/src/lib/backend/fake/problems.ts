/**
 * What the application itself says of what goes wrong in the stories. The files are written by its tests
 * (`WAKEFLASH_UPDATE_BINDINGS=1 cargo test the_problems_of_the_stories`), which fail when they are stale.
 */
import core from '../generated/problems.core.json';
import engine from '../generated/problems.engine.json';
import type { Problem } from '..';

export const problems = { ...core, ...engine } satisfies Record<string, Problem>;
