/** Other computers, in a backend without an application. */
import type { Answer } from '..';
import { ok, type Commands } from './answers';

/** What each name is found to be. */
const PROBLEMS: Readonly<Record<string, string>> = {
  nobody: 'remote.no_host',
  stranger: 'remote.host_key_unknown',
  idle: 'remote.no_service',
};

export class FakePlaces {
  /** The commands that were given, for the tests. */
  readonly calls: string[] = [];
  #mended = new Set<string>();

  try_place: Commands['try_place'] = async ({ place }) => {
    const code = this.#mended.has(place) ? undefined : PROBLEMS[place];
    if (code === undefined) return ok({ version: '0.1.0', problem: null, hostKey: null });
    const problem = { code, message: `${place}: ${code}`, help: null };
    const hostKey =
      code === 'remote.host_key_unknown' ? { kind: 'ED25519', fingerprint: 'SHA256:abc' } : null;
    return ok({ version: null, problem, hostKey });
  };

  trust_host: Commands['trust_host'] = ({ place, fingerprint }) => {
    this.#mended.add(place);
    return this.done(`trustHost ${place} ${fingerprint}`);
  };

  start_service: Commands['start_service'] = ({ place }) => {
    this.#mended.add(place);
    return this.done(`startService ${place}`);
  };

  work_at: Commands['work_at'] = ({ place }) => this.done(`workAt ${place ?? 'here'}`);

  forget_place: Commands['forget_place'] = async ({ place }) => {
    this.calls.push(`forgetPlace ${place}`);
    return ok([]);
  };

  reconnect: Commands['reconnect'] = () => this.done('reconnect');

  protected async done(call: string): Promise<Answer<null>> {
    this.calls.push(call);
    return ok(null);
  }
}
