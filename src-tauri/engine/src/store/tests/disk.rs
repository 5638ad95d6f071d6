//! A file system for SQLite that notes what is written and waited for, and that can be full, broken or slow. What it
//! does to the real files is left to SQLite's own.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

/// What happened to a file, by the end of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        size: usize,
    },
    Sync {
        file: String,
    },
    Delete {
        file: String,
    },
    /// The test says that this commit was acknowledged.
    Stored(usize),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing can be written after so many more writes.
    FullAfter(usize),
    /// Nothing is synced after so many more syncs.
    UnsyncedAfter(usize),
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Op>,
    fault: Option<Fault>,
    held: bool,
}

/// Such a file system.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
    freed: Condvar,
}

/// An open file: whose it is, its name, and what SQLite's own file system does with it.
#[derive(Clone, Copy)]
struct Open {
    disk: &'static Disk,
    name: &'static str,
    own: &'static ffi::sqlite3_io_methods,
}

static FILES: LazyLock<Mutex<HashMap<usize, Open>>> = LazyLock::new(Mutex::default);
static DISKS: LazyLock<Mutex<HashMap<usize, &'static Disk>>> = LazyLock::new(Mutex::default);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Makes one known to SQLite. It stays for as long as the process.
    pub(crate) fn register(name: &str) -> &'static Self {
        let disk: &'static Self = Box::leak(Box::default());
        let name: &'static CStr = Box::leak(CString::new(name).unwrap().into_boxed_c_str());
        // SAFETY: the default file system is there for as long as SQLite is; its copy and the name are never freed.
        unsafe {
            let mut copy = *ffi::sqlite3_vfs_find(std::ptr::null());
            copy.zName = name.as_ptr();
            copy.pNext = std::ptr::null_mut();
            copy.xOpen = Some(open);
            copy.xDelete = Some(delete);
            let copy: &'static mut ffi::sqlite3_vfs = Box::leak(Box::new(copy));
            lock(&DISKS).insert(std::ptr::from_mut(copy) as usize, disk);
            assert_eq!(ffi::sqlite3_vfs_register(copy, 0), ffi::SQLITE_OK);
        }
        disk
    }

    /// What happened so far.
    pub(super) fn log(&self) -> Vec<Op> {
        lock(&self.state).log.clone()
    }

    pub(super) fn note(&self, op: Op) {
        lock(&self.state).log.push(op);
    }

    /// What goes wrong from now on, if anything.
    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        lock(&self.state).fault = fault;
    }

    /// Whether the fault has come up.
    pub(super) fn has_failed(&self) -> bool {
        let fault = lock(&self.state).fault;
        matches!(fault, Some(Fault::FullAfter(0) | Fault::UnsyncedAfter(0)))
    }

    /// From now on nothing that is waited for ends, or does again.
    pub(crate) fn hold(&self, held: bool) {
        lock(&self.state).held = held;
        self.freed.notify_all();
    }

    fn wait(&self) {
        let mut state = lock(&self.state);
        while state.held {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a write succeeds.
    fn may_write(&self) -> bool {
        match &mut lock(&self.state).fault {
            Some(Fault::FullAfter(0)) => false,
            Some(Fault::FullAfter(left)) => {
                *left -= 1;
                true
            }
            Some(Fault::UnsyncedAfter(_)) | None => true,
        }
    }

    /// Whether a sync succeeds.
    fn may_sync(&self) -> bool {
        match &mut lock(&self.state).fault {
            Some(Fault::UnsyncedAfter(0)) => false,
            Some(Fault::UnsyncedAfter(left)) => {
                *left -= 1;
                true
            }
            Some(Fault::FullAfter(_)) | None => true,
        }
    }
}

fn of(file: *mut ffi::sqlite3_file) -> Open {
    lock(&FILES)[&(file as usize)]
}

fn name_of(path: *const c_char) -> String {
    if path.is_null() {
        return "temporary".to_owned();
    }
    // SAFETY: SQLite gives a text that ends with zero.
    let path = PathBuf::from(unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned());
    path.file_name().unwrap().to_string_lossy().into_owned()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let disk = lock(&DISKS)[&(vfs as usize)];
    // SAFETY: SQLite's own file system gets what it would have got without this one. The table of what can be done with
    // a file is replaced by a copy that is never freed.
    unsafe {
        let own = ffi::sqlite3_vfs_find(std::ptr::null());
        let outcome = (*own).xOpen.unwrap()(own, path, file, flags, out_flags);
        if outcome == ffi::SQLITE_OK {
            let own: &'static ffi::sqlite3_io_methods = &*(*file).pMethods;
            let mut methods = *own;
            methods.xWrite = Some(write);
            methods.xTruncate = Some(truncate);
            methods.xSync = Some(sync);
            methods.xClose = Some(close);
            let name = Box::leak(name_of(path).into_boxed_str());
            lock(&FILES).insert(file as usize, Open { disk, name, own });
            (*file).pMethods = Box::leak(Box::new(methods));
        }
        outcome
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let open = lock(&FILES).remove(&(file as usize)).unwrap();
    // SAFETY: as without this file system.
    unsafe {
        (*file).pMethods = open.own;
        open.own.xClose.unwrap()(file)
    }
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    sync_dir: c_int,
) -> c_int {
    let disk = lock(&DISKS)[&(vfs as usize)];
    disk.note(Op::Delete { file: name_of(path) });
    // SAFETY: as without this file system.
    unsafe {
        let own = ffi::sqlite3_vfs_find(std::ptr::null());
        (*own).xDelete.unwrap()(own, path, sync_dir)
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    at: i64,
) -> c_int {
    let open = of(file);
    if !open.disk.may_write() {
        return ffi::SQLITE_FULL;
    }
    // SAFETY: SQLite gives so many bytes.
    let written = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count as usize) };
    open.disk.note(Op::Write {
        file: open.name.to_owned(),
        at: at as usize,
        bytes: written.to_vec(),
    });
    // SAFETY: as without this file system.
    unsafe { open.own.xWrite.unwrap()(file, bytes, count, at) }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let open = of(file);
    open.disk.note(Op::Truncate { file: open.name.to_owned(), size: size as usize });
    // SAFETY: as without this file system.
    unsafe { open.own.xTruncate.unwrap()(file, size) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let open = of(file);
    open.disk.wait();
    if !open.disk.may_sync() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: as without this file system.
    let outcome = unsafe { open.own.xSync.unwrap()(file, flags) };
    open.disk.note(Op::Sync { file: open.name.to_owned() });
    outcome
}

/// The files of a state directory that a database is made of.
pub(super) fn files(dir: &Path) -> HashMap<String, Vec<u8>> {
    ["wakeflash.db", "wakeflash.db-wal"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::fs::read(dir.join(name)).ok()?)))
        .collect()
}
