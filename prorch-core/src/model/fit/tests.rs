use super::*;
use crate::model::{ListedKind, UndoOn};

/// A stage as `form: takes -> hands on`, like `Resize: u64 -> String`, `[A, B]: …`, `each(A): …` or `run(P): …`.
fn stage(text: &str) -> ListedStage {
    let (form, types) = text.split_once(": ").unwrap();
    let (takes, hands_on) = types.split_once(" -> ").unwrap();
    let inner = |begin, end| form.strip_prefix(begin).and_then(|rest: &str| rest.strip_suffix(end));
    let (kind, names) = match (inner("[", "]"), inner("each(", ")")) {
        (Some(names), _) => (ListedForm::Group, names),
        (_, Some(name)) => (ListedForm::Each, name),
        _ => (ListedForm::One, form),
    };
    let step = |name: &str| match name.strip_prefix("run(").and_then(|rest| rest.strip_suffix(')')) {
        Some(name) => ListedStep { name: name.into(), kind: ListedKind::Run },
        None => ListedStep { name: name.into(), kind: ListedKind::Step },
    };
    let steps = names.split(", ").map(step).collect();
    ListedStage { form: kind, steps, takes: takes.into(), hands_on: hands_on.into() }
}

fn list(stages: &[&str]) -> StepList {
    StepList { version: 1, stages: stages.iter().map(|text| stage(text)).collect(), undo: UndoOn::NEVER }
}

/// For each stage of `old` whether a run that stands there can go on, as `+` or `-`; and the first reason why not.
fn judged(old: &[&str], new: &[&str], aliases: &[(&str, &str)]) -> (String, String) {
    let here = list(new);
    let fit = Here { pipeline: "photos", list: &here, aliases }.judge(&list(old));
    let signs = fit.differs.iter().map(|differs| if differs.is_some() { '-' } else { '+' }).collect();
    let why = fit.differs.iter().flatten().next().map(ToString::to_string).unwrap_or_default();
    (signs, why)
}

const A: &str = "A: u8 -> u8";
const B: &str = "B: u8 -> u8";
const C: &str = "C: u8 -> u8";

#[test]
fn where_a_run_can_go_on() {
    let cases: &[(&str, &[&str], &[&str], &str)] = &[
        ("the same", &[A, B, C], &[A, B, C], "+++"),
        ("one put in", &[A, C], &[A, B, C], "++"),
        (
            "one put in whose type differs, before it",
            &[A, C],
            &[A, "B: u8 -> String", "C: String -> u8"],
            "--",
        ),
        ("one put in at the end", &[A, B], &[A, B, "D: u8 -> String"], "++"),
        ("one taken out", &[A, B, C], &[A, C], "--+"),
        ("the last taken out", &[A, B, C], &[A, B], "---"),
        ("exchanged", &[A, B], &[B, A], "++"),
        (
            "one moved behind its type",
            &["A: u8 -> u16", "B: u16 -> u8"],
            &["B: u16 -> u8", "A: u8 -> u16"],
            "++",
        ),
        ("another type between both", &[A, B], &["A: u8 -> u16", "B: u16 -> u8"], "+-"),
        ("another type at the beginning", &[A, B], &["A: u16 -> u8", B], "-+"),
        ("another type at the end", &[A, B], &[A, "B: u8 -> String"], "++"),
        ("a type that only one of two has changed", &[A, B, C], &["A: u8 -> u16", C, "B: u8 -> u8"], "-++"),
        (
            "a group",
            &["[A, B]: u8 -> (u8, u8)", "C: (u8, u8) -> u8"],
            &["[A, B]: u8 -> (u8, u8)", "C: (u8, u8) -> u8"],
            "++",
        ),
        ("a group that grew", &["[A, B]: u8 -> (u8, u8)"], &["[A, B, C]: u8 -> (u8, u8, u8)"], "-"),
        ("a group the other way round", &["[A, B]: u8 -> (u8, u8)"], &["[B, A]: u8 -> (u8, u8)"], "-"),
        ("a group whose output differs", &["[A, B]: u8 -> (u8, u8)"], &["[A, B]: u8 -> (u8, u16)"], "-"),
        ("a step that is an each now", &[A], &["each(A): Vec<u8> -> Vec<u8>"], "-"),
        (
            "an each",
            &["each(A): Vec<u8> -> Vec<u8>"],
            &["B: u8 -> Vec<u8>", "each(A): Vec<u8> -> Vec<u8>"],
            "+",
        ),
        ("an each of other items", &["each(A): Vec<u8> -> Vec<u8>"], &["each(A): Vec<u16> -> Vec<u8>"], "-"),
        (
            "an each whose output differs",
            &["each(A): Vec<u8> -> Vec<u8>"],
            &["each(A): Vec<u8> -> Vec<u16>"],
            "-",
        ),
        ("a run that is a step now", &["run(A): u8 -> u8"], &[A], "-"),
        ("a run", &["run(A): u8 -> u8", B], &["run(A): u8 -> u8", B], "++"),
        ("one that stood there twice", &[A, "A#2: u8 -> u8"], &[A], "--"),
        ("one that stands there twice", &[A], &[A, "A#2: u8 -> u8"], "+"),
    ];
    for (what, old, new, expected) in cases {
        let (signs, why) = judged(old, new, &[]);
        assert_eq!(signs, *expected, "{what}: {why}");
    }
}

#[test]
fn a_step_that_was_renamed_is_found_by_its_old_name() {
    let renamed: &[(&str, &str)] = &[("Old", "A")];
    let old = &["Old: u8 -> u8", "Old#2: u8 -> u8", B];
    assert_eq!(judged(old, &[A, "A#2: u8 -> u8", B], renamed).0, "+++");
    assert_eq!(judged(old, &[A, "A#2: u8 -> u8", B], &[]).0, "--+");
    assert_eq!(judged(&["[Old, B]: u8 -> (u8, u8)"], &["[A, B]: u8 -> (u8, u8)"], renamed).0, "+");
    let (signs, _) = judged(&["Old: u8 -> u8"], &[A, "Old: u16 -> u16"], renamed);
    assert_eq!(signs, "-", "a step that has the name is meant by it");
}

#[test]
fn it_is_said_what_differs_and_what_to_do() {
    let (_, why) = judged(&[A, "Resize: u8 -> u8"], &[A], &[]);
    assert_eq!(
        why,
        "it needs the step `Resize` (stage 1 of its list), which the pipeline `photos` does not have here: give the step \
         back, write `aliases(\"Resize\" = TheNewName)` if it was renamed, or run the old program until its runs have ended"
    );
    let (_, why) = judged(&[A], &["each(A): Vec<u8> -> Vec<u8>"], &[]);
    assert!(why.contains("stands in the pipeline `photos` as `each(A)` here"), "{why}");
    let (_, why) = judged(&[A, B], &["A: u16 -> u8", B], &[]);
    assert!(
        why.contains("`A` gets a `u8` (stage 0), and in the pipeline `photos` that is a `u16` here"),
        "{why}"
    );
    let (_, why) = judged(&["[A, B]: u8 -> (u8, u8)"], &["[A, B]: u8 -> (u8, u16)"], &[]);
    assert!(why.contains("hands on `(u8, u8)`"), "{why}");
}

#[test]
fn a_parent_waits_for_the_type_that_it_was_compiled_against() {
    let here = list(&[A, B, "D: u8 -> String"]);
    let fit = Here { pipeline: "photos", list: &here, aliases: &[] }.judge(&list(&[A, B]));
    assert!(fit.is_any() && !fit.is_whole());
    assert!(fit.end.is_some_and(|end| end.contains("`u8`") && end.contains("`String`")));
    let fit = Here { pipeline: "photos", list: &here, aliases: &[] }.judge(&here);
    assert!(fit.is_whole());
}

#[test]
fn a_run_that_stands_nowhere_in_its_list_is_left() {
    let here = list(&[A]);
    let fit = Here { pipeline: "photos", list: &here, aliases: &[] }.judge(&here);
    assert!(fit.at(1).is_some_and(|why| why.contains("stage 1")) && fit.at(0).is_none());
}
