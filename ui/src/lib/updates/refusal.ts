import type { DeviceView, Problem } from '../backend';

/** What is wrong with a device's file. That ESPHome hasn't answered yet is nothing wrong: only the drawer says it. */
export function refusalOf({ problem }: DeviceView): Problem | null {
  return problem?.code === 'config.unanswered' ? null : problem;
}
