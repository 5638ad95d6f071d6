//! Plants mutants one by one into a copy of the tree, and lets the simulation find each: `make mutants`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

const MUTANTS: &str = include_str!("../../mutants.txt");

/// A fault to plant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mutant {
    name: String,
    /// What is wrong with it, in a sentence.
    sentence: String,
    changes: Vec<Change>,
}

/// Lines of a file, and what comes in their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Change {
    file: String,
    old: String,
    new: String,
}

/// Reads the list: `## name: sentence`, then for each place `@ file` and lines that begin with `-` or `+`.
fn read(text: &str) -> Result<Vec<Mutant>, String> {
    let mut mutants: Vec<Mutant> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let (name, sentence) = title.split_once(": ").ok_or(format!("no sentence: {line}"))?;
            let (name, sentence) = (name.to_owned(), sentence.to_owned());
            mutants.push(Mutant { name, sentence, changes: Vec::new() });
            continue;
        }
        let Some(mutant) = mutants.last_mut() else { continue };
        if let Some(file) = line.strip_prefix("@ ") {
            mutant.changes.push(Change { file: file.to_owned(), ..Change::default() });
            continue;
        }
        let (side, rest) = match (line.strip_prefix('-'), line.strip_prefix('+')) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) if line.trim().is_empty() => continue,
            (None, None) => return Err(format!("{}: what is this? {line}", mutant.name)),
        };
        let change = mutant.changes.last_mut().ok_or(format!("{}: no file", mutant.name))?;
        let text = if side { &mut change.new } else { &mut change.old };
        let _ = writeln!(text, "{rest}");
    }
    Ok(mutants)
}

impl Change {
    /// The file with the fault in it.
    fn plant(&self, content: &str) -> Result<String, String> {
        match content.matches(&self.old).count() {
            1 => Ok(content.replacen(&self.old, &self.new, 1)),
            0 => Err(format!("{}: these lines aren't there:\n{}", self.file, self.old)),
            many => {
                Err(format!("{}: these lines are there {many} times:\n{}", self.file, self.old))
            }
        }
    }
}

/// Where mutants are planted and built.
struct Field {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
    seeds: String,
    seconds: String,
}

/// How a mutant fared.
enum Fate {
    /// By this promise, in so many seconds.
    Caught(String),
    Survived,
    Unfit(String),
}

impl Field {
    fn lay_out(root: &Path, target: &Path) -> Result<Self, String> {
        let tree = target.join("mutants/tree");
        let field = Self {
            root: root.to_owned(),
            tree,
            target: target.join("mutants/target"),
            seeds: std::env::var("MUTANT_SEEDS").unwrap_or_else(|_| "10000".to_owned()),
            seconds: std::env::var("MUTANT_SECONDS").unwrap_or_else(|_| "120".to_owned()),
        };
        fs::create_dir_all(&field.tree).map_err(|error| error.to_string())?;
        for file in field.tracked()? {
            field.restore(&file)?;
        }
        Ok(field)
    }

    /// The files of the checkout that are needed to build the simulation.
    fn tracked(&self) -> Result<Vec<String>, String> {
        let mut list = Command::new("git");
        list.args(["ls-files", "--cached", "--others", "--exclude-standard", "--"]);
        list.args([
            "Cargo.toml",
            "Cargo.lock",
            "*/Cargo.toml",
            "src-tauri",
            "tests",
            "docs",
            "clippy.toml",
        ]);
        let output = list.current_dir(&self.root).output().map_err(|error| error.to_string())?;
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        let wanted = |name: &&str| self.root.join(name).is_file() && !name.ends_with(".png");
        Ok(names.lines().filter(wanted).map(str::to_owned).collect())
    }

    /// Makes a file what it is in the checkout; one that already is isn't touched, so that it isn't built again.
    fn restore(&self, file: &str) -> Result<(), String> {
        let from = fs::read(self.root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        let to = self.tree.join(file);
        if fs::read(&to).is_ok_and(|there| there == from) {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        }
        fs::write(&to, from).map_err(|error| format!("{file}: {error}"))
    }

    fn plant(&self, mutant: &Mutant) -> Result<(), String> {
        for change in &mutant.changes {
            let path = self.tree.join(&change.file);
            let content =
                fs::read_to_string(&path).map_err(|error| format!("{}: {error}", change.file))?;
            fs::write(&path, change.plant(&content)?).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn build(&self) -> Result<(), String> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--profile", "sim", "--package", "wakeflash-sim"]);
        cargo.args(["--bin", "wakeflash-sim"]).env("CARGO_TARGET_DIR", &self.target);
        let output = cargo.current_dir(&self.tree).output().map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(words)
    }

    fn live(&self) -> Result<Output, String> {
        let mut sim = Command::new(self.target.join("sim/wakeflash-sim"));
        sim.args(["--no-table", "--everywhere", "20", "--seeds", &self.seeds]);
        sim.args(["--time", &self.seconds]).output().map_err(|error| error.to_string())
    }

    fn fate(&self, mutant: &Mutant) -> Fate {
        let tried = self.plant(mutant).and_then(|()| self.build()).and_then(|()| self.live());
        for change in &mutant.changes {
            if let Err(problem) = self.restore(&change.file) {
                return Fate::Unfit(problem);
            }
        }
        match tried {
            Err(problem) => Fate::Unfit(problem),
            Ok(output) if output.status.success() => Fate::Survived,
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stdout).into_owned();
                let promise =
                    words.split_once("BROKEN (").and_then(|(_, rest)| rest.split_once(')'));
                promise.map_or_else(
                    || Fate::Unfit(words.clone()),
                    |(promise, _)| Fate::Caught(promise.to_owned()),
                )
            }
        }
    }
}

fn say(words: &str) {
    // Nobody is left to hear that nobody listens.
    let _ = writeln!(std::io::stdout(), "{words}");
}

fn run() -> Result<bool, String> {
    let mut words = std::env::args().skip(1);
    let (root, target) = (words.next(), words.next());
    let (Some(root), Some(target)) = (root, target) else {
        return Err("wakeflash-mutants ROOT TARGET [NAME]...".to_owned());
    };
    let only: Vec<String> = words.collect();
    let field = Field::lay_out(Path::new(&root), Path::new(&target))?;
    say("Without a mutant");
    field.build()?;
    let sane = field.live()?;
    if !sane.status.success() {
        return Err(format!(
            "the simulation fails as it is:\n{}",
            String::from_utf8_lossy(&sane.stdout)
        ));
    }
    let mut all = true;
    let mut table = String::from("| mutant | what is wrong with it | caught by |\n|---|---|---|\n");
    for mutant in read(MUTANTS)? {
        if !only.is_empty() && !only.contains(&mutant.name) {
            continue;
        }
        let since = Instant::now();
        let fate = field.fate(&mutant);
        let took = since.elapsed().as_secs();
        let by = match &fate {
            Fate::Caught(promise) => promise.as_str(),
            Fate::Survived => "**nothing**",
            Fate::Unfit(problem) => {
                say(problem);
                "**can't be planted**"
            }
        };
        all &= matches!(fate, Fate::Caught(_));
        say(&format!("{took:4} s  {:32} {by}", mutant.name));
        let _ = writeln!(table, "| {} | {} | {by} |", mutant.name, mutant.sentence);
    }
    say(&format!("\n{table}"));
    Ok(all)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            say(&problem);
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_can_be_planted() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mutants = read(MUTANTS).unwrap();
        let mut refused = Vec::new();
        for mutant in &mutants {
            assert!(!mutant.changes.is_empty(), "{} changes nothing", mutant.name);
            for change in &mutant.changes {
                let content = fs::read_to_string(root.join(&change.file)).unwrap();
                match change.plant(&content) {
                    Ok(planted) => assert_ne!(planted, content, "{}", mutant.name),
                    Err(why) => refused.push(format!("{}: {why}", mutant.name)),
                }
            }
        }
        assert!(refused.is_empty(), "{refused:#?}");
        let mut names: Vec<_> = mutants.iter().map(|mutant| &mutant.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), mutants.len(), "each has a name of its own");
    }
}
