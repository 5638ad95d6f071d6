//! A real `sshd` on a host of the LAN, with keys made for it, and a client on another host that knows the way.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

use crate::desktop::until;
use crate::lan::Host;
use crate::paths::{binary, on_path, write_program};

/// A user may not listen on a port below 1024.
const PORT: u16 = 2222;
const SOON: Duration = Duration::from_secs(30);

/// The server; it ends when it is dropped.
pub struct Sshd {
    host: Host,
    dir: PathBuf,
    child: Child,
}

impl Sshd {
    /// Starts it. Whoever logs in finds this workspace's `wakeflash-headless`, with its state below `dir`.
    ///
    /// # Errors
    /// When OpenSSH isn't installed, or the server doesn't start.
    pub async fn start(host: &Host, dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir.join("programs"))?;
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd")?;
        }
        make_key(&dir.join("host_key")).await?;
        make_key(&dir.join("user_key")).await?;
        std::fs::copy(dir.join("user_key.pub"), dir.join("authorized_keys"))?;
        let headless =
            format!("#!/bin/sh\nexec '{}' \"$@\"\n", binary("wakeflash-headless")?.display());
        write_program(&dir.join("programs/wakeflash-headless"), &headless)?;
        let at = dir.display();
        let config = format!(
            "Port {PORT}\nListenAddress {}\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
             PermitRootLogin prohibit-password\nSetEnv PATH={at}/programs:/usr/bin:/bin XDG_STATE_HOME={at}\n",
            host.address()
        );
        std::fs::write(dir.join("sshd_config"), config)?;
        let child = spawn(host, dir)?;
        let server = Self { host: host.clone(), dir: dir.to_path_buf(), child };
        server.until_it_listens().await?;
        Ok(server)
    }

    /// Where the state of the service is that is reached through it.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("wakeflash")
    }

    /// Ends it and all its sessions, and starts it with another host key.
    ///
    /// # Errors
    /// When it can't be started again.
    pub async fn change_host_key(&mut self) -> Result<()> {
        self.child.kill().await?;
        std::fs::remove_file(self.dir.join("host_key"))?;
        make_key(&self.dir.join("host_key")).await?;
        self.child = spawn(&self.host, &self.dir)?;
        self.until_it_listens().await
    }

    /// Lets nobody in any more, or whom it knows.
    ///
    /// # Errors
    /// When its file can't be written.
    pub fn refuse_keys(&self, refuse: bool) -> Result<()> {
        let keys = self.dir.join("authorized_keys");
        if refuse {
            std::fs::write(keys, "")?;
        } else {
            std::fs::copy(self.dir.join("user_key.pub"), keys)?;
        }
        Ok(())
    }

    /// What `wakeflash-headless` is for whoever logs in.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn install(&self, script: &str) -> Result<()> {
        write_program(&self.dir.join("programs/wakeflash-headless"), script)
    }

    /// Removes `wakeflash-headless`.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn uninstall(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.dir.join("programs/wakeflash-headless"))?)
    }

    /// An `ssh` on another host, in a directory of its own: it calls this server `box`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn client(&self, host: &Host, dir: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(dir)?;
        let config = format!(
            "Host box\nHostName {}\nPort {PORT}\nIdentityFile {}/user_key\nIdentitiesOnly yes\n\
             Host *\nUserKnownHostsFile {}/known_hosts\nGlobalKnownHostsFile /dev/null\n",
            self.host.address(),
            self.dir.display(),
            dir.display()
        );
        std::fs::write(dir.join("config"), config)?;
        // Wherever it is started from, it is on that host.
        let inside = host.command(on_path("ssh")?);
        let words =
            std::iter::once(inside.as_std().get_program()).chain(inside.as_std().get_args());
        let words: Vec<String> =
            words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let script =
            format!("#!/bin/sh\nexec {} -F '{}/config' \"$@\"\n", words.join(" "), dir.display());
        write_program(&dir.join("ssh"), &script)?;
        Ok(dir.join("ssh"))
    }

    async fn until_it_listens(&self) -> Result<()> {
        let address = self.host.address().to_string();
        until("sshd listens", SOON, async || {
            let mut scan = self.host.command("ssh-keyscan");
            let scan = scan.args(["-p", &PORT.to_string(), &address]).output().await?;
            ensure!(!scan.stdout.is_empty(), "{}", String::from_utf8_lossy(&scan.stderr));
            Ok(())
        })
        .await
        .context(std::fs::read_to_string(self.dir.join("sshd.log")).unwrap_or_default())
    }
}

fn spawn(host: &Host, dir: &Path) -> Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("sshd.log"))?;
    let mut command = host.command(on_path("sshd")?);
    command.args(["-D", "-e", "-f"]).arg(dir.join("sshd_config")).stdin(Stdio::null());
    command.stderr(log).kill_on_drop(true).spawn().context("cannot start sshd")
}

async fn make_key(file: &Path) -> Result<()> {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run ssh-keygen")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}
