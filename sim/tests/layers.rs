//! The layers of the simulator, from below: the generic world, nodes, and then scenarios and
//! adversaries. None names one that is built on it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "it reads the source of the crate, not its world")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A layer: its module, the modules of this crate that it may name, and the crates of devp2p.
struct Layer {
    module: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
}

const LAYERS: [Layer; 2] = [
    Layer { module: "world", modules: &["world"], crates: &["machine"] },
    Layer {
        module: "node",
        modules: &["node", "world"],
        crates: &["discovery", "machine", "node", "peering", "rlpx"],
    },
];

#[test]
fn no_layer_names_one_that_is_built_on_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for layer in LAYERS {
        let top = src.join(layer.module).with_extension("rs");
        let mut files = Vec::new();
        add_files(&src.join(layer.module), &mut files);
        assert!(files.len() > 5, "{} has moved", layer.module);
        // Its top could name the root of the crate, and so everything.
        let text = fs::read_to_string(&top).unwrap();
        assert_eq!(names(&text, "super::").find(|it| !it.is_empty()), None, "{}", top.display());
        files.push(top);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            // As many steps up as lead to the top of the layer, and none beyond it.
            let depth = file.strip_prefix(&src).unwrap().components().count() - 1;
            let beyond = "super::".repeat(depth + 1);
            let leaves = depth > 0 && text.contains(&beyond);
            assert!(!leaves, "{} leaves its layer", file.display());
            let mut modules = names(&text, "crate::");
            let above = modules.find(|it| !layer.modules.contains(it));
            assert_eq!(above, None, "{}", file.display());
            let mut crates = names(&text, "peerage_");
            assert_eq!(crates.find(|it| !layer.crates.contains(it)), None, "{}", file.display());
        }
    }
}

/// The words that follow `prefix` in code: empty where something else than a word does.
fn names<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(move |line| line.split(prefix).skip(1)).map(|rest| {
        let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn add_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_files(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}
