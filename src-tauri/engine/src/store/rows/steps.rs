//! How a row of an older version becomes one of the next. A step that a release has made is never changed.

use serde_json::{Map, Value, json};

use super::Table;

/// The fields of a row's body.
pub(in crate::store) type Fields = Map<String, Value>;

/// Versions 1 and 2 said nothing where a field had its default, and their rows had no seal.
pub(in crate::store) fn to_3(table: Table, row: &mut Fields) {
    match table {
        Table::Updates => update_to_3(row),
        Table::Devices => device_to_3(row),
        Table::Settings => settings_to_3(row),
    }
}

fn update_to_3(update: &mut Fields) {
    // What the first builds of all wrote.
    update.remove("running_at_request");
    fill(
        update,
        json!({
            "mac": null, "wire_size": null, "ended_delivery": null, "directory": null, "build_again": null, "from_version": null,
            "previous_stamp": null,
            "changed_in_builds": [], "cleaning": "no", "earlier_may_have_arrived": false,
        }),
    );
    if let Some(shipped) = within(update, "ended_delivery") {
        fill(shipped, json!({"encrypted": null}));
    }
    if let Some(Value::Array(timeline)) = update.get_mut("timeline") {
        for entry in timeline.iter_mut().filter_map(Value::as_object_mut) {
            fill(entry, json!({"code": null}));
        }
    }
    let Some(state) = within(update, "state") else { return };
    problem_to_3(state, "problem");
    match state.get("state").and_then(Value::as_str) {
        Some("installed") => fill(state, json!({"watch": "over"})),
        Some("failed") => {
            fill(state, json!({"may_have_arrived": false, "dismissed": false, "taken_back": null}))
        }
        _ => {}
    }
    let Some(delivery) = within(state, "delivery") else { return };
    let uncut = json!({"in_all": 0, "in_wake": 0, "wake": null});
    fill(delivery, json!({"warning": null, "encrypted": null, "avoided": [], "cuts": uncut}));
    problem_to_3(delivery, "warning");
    if let Some(attempt) = within(delivery, "last_attempt") {
        problem_to_3(attempt, "problem");
    }
    let Some(build) = within(delivery, "build") else { return };
    let no_other = json!({"port": null, "address": null});
    fill(
        build,
        json!({"credentials_changed": false, "sleep_plan": null, "stamp": null, "api": null, "boot_check": null}),
    );
    fill(build, json!({"mac_suffix": false, "before": no_other}));
    if let Some(Value::Array(sources)) = build.get_mut("sources") {
        for source in sources.iter_mut().filter_map(Value::as_object_mut) {
            fill(source, json!({"counts": "content"}));
        }
    }
    if let Some(ota) = within(build, "ota") {
        fill(ota, json!({"method": "native"}));
    }
}

fn problem_to_3(row: &mut Fields, name: &str) {
    if let Some(problem) = within(row, name) {
        fill(problem, json!({"details": null}));
    }
}

fn device_to_3(device: &mut Fields) {
    let unknown = json!({
        "last_seen": null, "addresses": [], "mac": null, "link_address": null, "version": null,
        "config_hash": null, "hashes": [], "announces_hash": false, "friendly_name": null,
        "platform": null, "deep_sleep": false, "sleep_plan": null, "overdue_told": null,
        "installed_password": null, "installed_sources": null, "user_address": null,
        "installed_encryption": null, "configured_by": null, "chosen": null, "before_install": null,
        "claimed_hashes": [], "rival": null, "transfers": [], "kept_builds": [],
        "labels": [], "record_log": null,
    });
    fill(device, unknown);
    let identity = identity_to_3(device);
    fill(device, json!({"identity": identity}));
    if let Some(sources) = within(device, "installed_sources") {
        installed_to_3(sources);
    }
    if let Some(before) = within(device, "before_install") {
        fill(before, json!({"password": null, "encryption": null, "sources": null}));
        if let Some(sources) = within(before, "sources") {
            installed_to_3(sources);
        }
    }
}

/// Nothing was pinned: what was said last of a device is a claim from now on. Where something had been installed, the
/// gate had let the device pass, and what was known of it then is pinned.
fn identity_to_3(device: &Fields) -> Value {
    let of = |name: &str| device.get(name).cloned().unwrap_or_default();
    let installed = ["installed_sources", "installed_password", "installed_encryption"];
    if installed.iter().all(|name| of(name).is_null()) {
        let nobody: [Value; 0] = [];
        return json!({
            "mac": null, "link_addresses": nobody, "addresses": nobody, "build": null,
            "proven_at": null,
        });
    }
    let links: Vec<Value> =
        Some(of("link_address")).filter(|link| !link.is_null()).into_iter().collect();
    let version = Some(of("version")).filter(|version| !version.is_null());
    json!({
        "mac": of("mac"), "link_addresses": links, "addresses": of("addresses"),
        "build": version.map(|version| json!({"version": version, "config_hash": of("config_hash"), "stamp": null})),
        "proven_at": of("last_seen").as_i64().unwrap_or_default(),
    })
}

fn installed_to_3(build: &mut Fields) {
    fill(
        build,
        json!({"files": [], "version": null, "stamp": null, "port": null, "address": null}),
    );
}

fn settings_to_3(settings: &mut Fields) {
    // Once there were only all notifications or none.
    let wanted = settings.remove("notifications").and_then(|all| all.as_bool()).unwrap_or(true);
    let unsaid = json!({
        "configDir": null, "esphomePath": null, "ownEsphome": false, "compilerCache": null, "changedSources": "hold",
        "maxBuilds": 1, "maxFlashes": 4, "theme": "system", "language": "system",
        "startAtLogin": false, "paused": false,
    });
    fill(settings, unsaid);
    match within(settings, "notify") {
        // What isn't said in the newer form was on.
        Some(notify) => fill(notify, kinds(true)),
        None => fill(settings, json!({"notify": kinds(wanted)})),
    }
}

fn kinds(wanted: bool) -> Value {
    json!({"installed": wanted, "failed": wanted, "held": wanted, "overdue": wanted})
}

/// The object in a field, where there is one.
fn within<'f>(fields: &'f mut Fields, name: &str) -> Option<&'f mut Fields> {
    fields.get_mut(name)?.as_object_mut()
}

/// Says what wasn't said.
fn fill(fields: &mut Fields, defaults: Value) {
    let Value::Object(defaults) = defaults else { return };
    for (name, value) in defaults {
        fields.entry(name).or_insert(value);
    }
}
