//! The example of the README, which runs among the documentation's, is the one in `examples`.

#[test]
fn the_example_is_shown_word_for_word() {
    let (_, code) = include_str!("../examples/readme.rs").split_once("\n\n").unwrap();
    assert!(include_str!("../README.md").contains(&format!("```rust\n{code}```")));
}
