//! The order of the modules, read from their `use` lines: a module imports only what stands before it.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the compiler in the order in which data flows through them.
const ORDER: [&str; 12] = [
    "shape", "target", "graph", "fuse", "nest", "codegen", "runtime", "error", "report", "pipeline", "jit", "cli",
];

#[test]
fn no_module_imports_one_that_stands_after_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = 0;
    let mut upward = Vec::new();
    for file in rust_files(&root) {
        let module = module_of(&root, &file);
        // The crate's root and the program's entry stand above all modules.
        if module == "lib" || module == "main" {
            continue;
        }
        let from = place(&module).unwrap_or_else(|| panic!("`{module}` has no place in the order"));
        for imported in crate_paths(&fs::read_to_string(&file).unwrap()) {
            imports += 1;
            match place(&imported) {
                Some(to) if to <= from => {}
                // Re-exports at the root of what stands below.
                None if imported.starts_with(char::is_uppercase) && from > place("runtime").unwrap() => {}
                _ => upward.push(format!("{}: crate::{imported}", file.display())),
            }
        }
    }
    assert!(imports > 50, "only {imports} imports were found");
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn the_root_names_the_modules_in_their_order() {
    let root = include_str!("../src/lib.rs");
    let named = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let named: Vec<usize> = named.map(|name| place(name).unwrap()).collect();
    assert!(named.is_sorted(), "the `pub mod` lines of src/lib.rs");
}

#[test]
fn every_file_opens_with_its_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = rust_files(&root.join("src"));
    files.extend(rust_files(&root.join("ir/src")));
    assert!(files.len() > 50, "only {} files were found", files.len());
    let silent: Vec<&PathBuf> = files
        .iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "files without `//!` at their top: {silent:?}");
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|&m| m == module)
}

/// The module that a file belongs to: the first part of its path.
fn module_of(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).unwrap();
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The first names of the paths that start with `crate::`, outside of comments.
fn crate_paths(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1).collect::<Vec<_>>())
        .flat_map(first_names)
        .collect()
}

/// The names directly below `crate::`: one, or those of a braced list.
fn first_names(path: &str) -> Vec<String> {
    let name = |part: &str| {
        part.trim()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    match path.strip_prefix('{') {
        Some(list) => list.split(',').map(name).filter(|n| !n.is_empty()).collect(),
        None => vec![name(path)],
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
