//! Runs the bodies of fuzz targets over the inputs that are kept in a package: a part of that
//! package's tests. Not part of the public interface.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]
#![expect(clippy::disallowed_methods, reason = "tests of pure crates read their corpora here")]

use std::{fs, path::Path};

/// A target and its body.
pub type Body<'a> = (&'a str, fn(&[u8]));

/// Runs each body over its target's inputs: the seed corpus in `fuzzing/corpus/TARGET` below
/// `package`, and what fuzzing has found, in `fuzzing/regressions/TARGET`.
///
/// # Panics
///
/// If a body panics, or a target has no input.
pub fn replay(package: &str, bodies: &[Body<'_>]) {
    let fuzzing = Path::new(package).join("fuzzing");
    for (target, body) in bodies {
        let mut count = 0;
        for folder in ["corpus", "regressions"] {
            let Ok(files) = fs::read_dir(fuzzing.join(folder).join(target)) else { continue };
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
