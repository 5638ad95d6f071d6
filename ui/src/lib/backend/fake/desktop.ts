/** What the desktop does for the window: dialogs, files, the end. */
import { NOT_OPENED, no, ok, type Commands } from './answers';
import { FakePlaces } from './places';

export class FakeDesktop extends FakePlaces {
  save_csv: Commands['save_csv'] = async ({ text }) => {
    this.calls.push(`saveCsv ${text}`);
    return ok('/home/sam/activity.csv');
  };

  save_log: Commands['save_log'] = async ({ update }) => {
    this.calls.push(`saveLog ${update}`);
    return ok(`/home/sam/update-${update}.log`);
  };

  choose_directory: Commands['choose_directory'] = async () => ok('/home/sam/chosen');

  open_path: Commands['open_path'] = async ({ path }) => {
    this.calls.push(`openPath ${path}`);
    return no(NOT_OPENED);
  };

  open_yaml: Commands['open_yaml'] = async ({ device: id }) => {
    this.calls.push(`openYaml ${id}`);
    return no(NOT_OPENED);
  };

  open_folder: Commands['open_folder'] = async ({ device: id }) => {
    this.calls.push(`openFolder ${id}`);
    return no(NOT_OPENED);
  };

  close_window: Commands['close_window'] = () => this.done('closeWindow');

  mend_store: Commands['mend_store'] = ({ choice }) => this.done(`mendStore ${choice}`);

  stay: Commands['stay'] = () => this.done('stay');

  shutdown: Commands['shutdown'] = () => this.done('shutdown');
}
