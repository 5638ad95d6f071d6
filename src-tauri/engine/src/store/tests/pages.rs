//! Pages of the database that aren't what was written: it is told, and nothing is silently another or gone.

use super::crash::changes;
use super::*;

/// What stands in the place of a page.
fn others(page: usize, pages: &[&[u8]]) -> Vec<(&'static str, Vec<u8>)> {
    let old = pages[page];
    let mut flipped = old.to_vec();
    let middle = flipped.len() - 100;
    flipped[middle] ^= 0x10;
    let noise = old.iter().enumerate().map(|(at, byte)| byte ^ (at * 31 + 7) as u8).collect();
    let half = [&old[..old.len() / 2], &vec![0; old.len() / 2]].concat();
    vec![
        ("zeros", vec![0; old.len()]),
        ("ones", vec![0xff; old.len()]),
        ("noise", noise),
        ("half", half),
        ("one bit", flipped),
        ("the next page", pages[(page + 1) % pages.len()].to_vec()),
    ]
}

#[tokio::test]
async fn a_page_that_was_overwritten_is_told() {
    let dir = scratch();
    let mut store = Store::open(dir.path()).unwrap();
    for change in changes() {
        store.commit(change).await.unwrap();
    }
    // Enough for trees of several levels.
    for id in 200..260 {
        let updates = vec![update(id, &format!("{id}.yaml"), UpdateState::Queued)];
        let memory = DeviceMemory {
            friendly_name: Some("x".repeat(id as usize * 4)),
            ..DeviceMemory::default()
        };
        let memories = vec![(format!("device {id}"), memory)];
        store.commit(Commit { updates, memories, ..Commit::default() }).await.unwrap();
    }
    let whole = store.load().unwrap();
    drop(store);
    let database = std::fs::read(dir.path().join(DATABASE)).unwrap();
    let pages: Vec<&[u8]> = database.chunks(4096).collect();
    assert!(pages.len() > 20, "{}", pages.len());
    let (mut damaged, mut aside, mut unharmed) = (0, 0, 0);
    for page in 0..pages.len() {
        for (what, content) in others(page, &pages) {
            let broken = scratch();
            let mut bytes = database.clone();
            bytes[page * 4096..(page + 1) * 4096].copy_from_slice(&content);
            std::fs::write(broken.path().join(DATABASE), &bytes).unwrap();
            let context = format!("page {} is {what}", page + 1);
            match Store::open(broken.path()).and_then(|store| store.load()) {
                Ok(found) if found.problems.is_empty() => {
                    // Nothing that is used stood there.
                    let Loaded { updates, memories, settings, .. } = &found;
                    assert_eq!(*updates, whole.updates, "{context}");
                    assert_eq!(*memories, whole.memories, "{context}");
                    assert_eq!(*settings, whole.settings, "{context}");
                    unharmed += 1;
                }
                Ok(found) => {
                    let told = format!("{:?}", found.problems);
                    let there = |update: &&Update| found.updates.contains(update);
                    for gone in whole.updates.iter().filter(|update| !there(update)) {
                        assert!(told.contains(gone.device.as_str()), "{context}: {told}");
                    }
                    aside += 1;
                }
                Err(OpenError::Damaged(damage)) => {
                    assert_eq!(damage.problem().code, "store.damaged", "{context}");
                    let kept = std::fs::read(broken.path().join(DATABASE)).unwrap();
                    assert!(kept == bytes, "{context}: it was changed");
                    damaged += 1;
                }
                Err(error) => panic!("{context}: {error:?}"),
            }
        }
    }
    println!("{damaged} damaged, {aside} with rows aside, {unharmed} unharmed");
    assert!(damaged > 50 && aside > 5, "{damaged} damaged, {aside} with rows aside");
}
