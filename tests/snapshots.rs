//! What every stage makes of each case in `tests/cases/`, for the named targets: one snapshot a case in `snapshots/`.
//!
//! A case opens with the arguments it is scheduled for (`// args: x=f32[1024,1024], y=f32[1024]`) and, where the
//! instructions are of interest, `// stages: asm`; with `// wide: yes` the machine code for AVX2 and AVX-512 is shown, too.
//! Reports are for four threads. `INSTA_UPDATE=always cargo test --test snapshots` writes the snapshots anew.

#![cfg(feature = "cli")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Targets that are fully described by their names.
const TARGETS: [&str; 2] = ["x86-64", "aarch64"];

/// Targets of the wide emitter.
const WIDE: [&str; 2] = ["x86-64-v3", "x86-64-v4"];

#[test]
fn every_case_at_every_stage() {
    insta::glob!("cases/*.lw", |path| {
        let text = fs::read_to_string(path).unwrap();
        let args: Vec<&str> = directive(&text, "args").map(|args| args.split(", ").collect()).unwrap();
        let code = match directive(&text, "stages") {
            Some(more) => format!("clif,{more}"),
            None => String::from("clif"),
        };
        let mut stages = explain(
            path,
            &args,
            "x86-64",
            &["--emit", "func,graph,plan,nest", "--report", "3"],
        );
        for stage in code.split(',') {
            let [first, second] = TARGETS.map(|target| explain(path, &args, target, &["--emit", stage]));
            let shown = if first == second {
                format!("as for {}\n", TARGETS[0])
            } else {
                second
            };
            stages += &format!("\n== {stage}, {} ==\n{first}", TARGETS[0]);
            stages += &format!("\n== {stage}, {} ==\n{shown}", TARGETS[1]);
        }
        if directive(&text, "wide").is_some() {
            for target in WIDE {
                let code = explain(path, &args, target, &["--emit", "asm"]);
                stages += &format!("\n== asm, {target} ==\n{code}");
            }
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        insta::with_settings!({
            snapshot_path => "../snapshots",
            prepend_module_to_snapshot => false,
            snapshot_suffix => "",
            description => text.trim_end(),
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, stages);
        });
    });
}

/// The nest does not depend on which of the targets it is for, but for the sizes of a product's tiles, so one section shows it.
#[test]
fn the_nest_is_the_same_for_all_targets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let args: Vec<&str> = directive(&text, "args").map(|args| args.split(", ").collect()).unwrap();
        let nests = TARGETS.map(|target| without_tiles(&explain(&path, &args, target, &["--emit", "nest"])));
        assert_eq!(nests[0], nests[1], "{}", path.display());
        cases += 1;
    }
    assert!(cases >= 20, "{cases} cases");
}

fn without_tiles(nest: &str) -> String {
    let lines = nest.lines().map(|line| match line.split_once(" in tiles of ") {
        Some((product, _)) => product,
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of a `// name: value` line.
fn directive<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let prefix = format!("// {name}: ");
    text.lines().find_map(|line| line.strip_prefix(&prefix))
}

/// What the command prints when it is asked for this.
fn explain(path: &Path, args: &[&str], target: &str, what: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopweave"));
    command
        .arg("explain")
        .arg(path)
        .args(["--target", target])
        .args(what)
        .env("RAYON_NUM_THREADS", "4");
    command.args(args.iter().flat_map(|arg| ["-a", arg]));
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} for {target}:\n{errors}", path.display());
    String::from_utf8(output.stdout).unwrap()
}
