//! What the README shows is what is compiled.

#[test]
fn the_readme_shows_the_echo_example_as_it_is() {
    let readme = include_str!("../../../README.md");
    let example = include_str!("../../examples/echo.rs");
    assert!(readme.contains(example), "copy server/examples/echo.rs into README.md");
    assert!(example.lines().count() <= 40);
}
