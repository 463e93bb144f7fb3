//! What errors in texts look like: every file in `text/errors` against its snapshot.
//!
//! A file holds cases; a line `//# title` begins one. `INSTA_UPDATE=always cargo test -p loopweave-ir --test text_errors`
//! writes the snapshots anew.

use std::fmt::Write as _;
use std::path::Path;

use loopweave_ir::text::{self, MAX_SHOWN};

/// The report on a source that has an error.
fn report(title: &str, source: &str) -> String {
    let errors = match text::parse(source, "case.lw") {
        Err(errors) => errors,
        Ok(module) => match text::lower_module(&module) {
            Err(errors) => errors,
            Ok(_) => panic!("`{title}` has no error"),
        },
    };
    errors.to_string()
}

#[test]
fn reports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/errors");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut cases = 0;
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let content = std::fs::read_to_string(&file).unwrap();
        let mut out = String::new();
        for case in content.split("//# ").skip(1) {
            let (title, source) = case.split_once('\n').unwrap();
            cases += 1;
            let _ = writeln!(out, "## {title}\n\n{}\n", report(title, source));
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("errors_{name}"), out.trim_end());
        });
    }
    assert!(cases >= 60, "only {cases} cases were read");
}

#[test]
fn many_errors_are_counted() {
    let many: String = (0..300).map(|i| format!("fn g{i}(x) {{ y }}\n")).collect();
    let errors = text::lower_module(&text::parse(&many, "many.lw").unwrap()).unwrap_err();
    assert_eq!(errors.len(), 300);
    let shown = errors.to_string();
    assert_eq!(shown.matches("is not defined").count(), MAX_SHOWN);
    assert!(shown.ends_with("error: and 280 more errors"), "{shown}");
}

#[test]
fn colours_only_where_asked_for() {
    let errors = text::parse("fn f(x) { x + }", "a.lw").unwrap_err();
    assert!(!errors.to_string().contains('\x1b'));
    assert!(errors.styled().contains('\x1b'));
}

#[test]
fn line_ends_and_byte_order_marks_do_not_move_the_caret() {
    for (source, place) in [
        ("fn f(x) {\n  x +\n}", "a.lw:3:1"),
        ("fn f(x) {\r\n  x +\r\n}", "a.lw:3:1"),
        ("\u{feff}fn f(x) { x + }", "a.lw:1:15"),
        ("\tfn f(x) {\tx + }", "a.lw:1:16"),
        ("/* é漢 */ fn f(x) { x + }", "a.lw:1:24"),
        ("fn f(x) {", "a.lw:1:10"),
        ("", ""),
    ] {
        match text::parse(source, "a.lw") {
            Err(errors) => assert!(
                errors.to_string().contains(&format!("--> {place}\n")),
                "{source:?}: {errors}"
            ),
            Ok(module) => assert!(place.is_empty() && module.items.is_empty()),
        }
    }
}

#[test]
fn a_long_line_is_shown_around_the_caret() {
    let source = format!("fn f(x) {{ {}x + }}", " ".repeat(100_000));
    let errors = text::parse(&source, "long.lw").unwrap_err();
    let shown = errors.to_string();
    assert!(shown.contains("--> long.lw:1:100015\n"), "{shown}");
    assert!(shown.len() < 1000, "{shown}");
}
