/** What Install on some devices would do, by the application's rules. */
import type { DeviceView, InstallPlan } from '..';
import { isActive } from '../../updates/words';
import { problems } from './problems';

export function planOf(devices: readonly DeviceView[]): InstallPlan {
  const plan: InstallPlan = { now: [], atWake: [], held: [], active: [], refused: [] };
  for (const device of devices) {
    const kind = device.update?.state.kind;
    if (device.file === null || device.problem) {
      const problem = device.problem ?? problems.notConfigured;
      plan.refused.push({ device: device.id, problem });
    } else if (kind === 'held') plan.held.push(device.id);
    else if (kind && isActive(kind)) plan.active.push(device.id);
    else if (device.presence === 'online') plan.now.push(device.id);
    else plan.atWake.push(device.id);
  }
  return plan;
}
