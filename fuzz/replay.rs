//! Runs the body of each fuzz target over its seed corpus and what fuzzing has found. Part of the
//! crates' tests.

#![allow(clippy::disallowed_methods, reason = "the tests of pure crates read these files too")]

use std::{fs, path::Path};

/// A target and its body.
type Body<'a> = (&'a str, fn(&[u8]));

/// Runs each body over the files of its target in `fuzz/corpus` and `fuzz/regressions`.
pub(super) fn all(bodies: &[Body<'_>]) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("fuzz"))
        .find(|fuzz| fuzz.join("corpus").is_dir())
        .expect("because a checkout has fuzz/corpus");
    for (target, body) in bodies {
        let mut count = 0;
        for folder in ["corpus", "regressions"] {
            let Ok(files) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
            for file in files {
                let path = file.unwrap().path();
                println!("{}", path.display());
                body(&fs::read(path).unwrap());
                count += 1;
            }
        }
        assert!(count > 0, "{target} has no seed corpus");
    }
}
