//! The rules of the house, held by reading the tree. What they mean and why stands in `ARCHITECTURE.md`; the tables of
//! arrows are read from there, so that the document can't say something else than what is checked.
//!
//! A rule is a function from text to findings. Each has a test that shows it a text with the mistake: a rule that can't
//! fail says nothing.

#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/table.rs"]
mod table;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/seam.rs"]
mod seam;
#[path = "tidy/documents.rs"]
mod documents;

use tree::{File, Tree, none};

#[test]
fn crates_depend_only_along_the_arrows() {
    let tree = Tree::read();
    let document = &tree.file("ARCHITECTURE.md").text;
    let (arrows, in_tests) = (table::arrows(document, "crate"), table::arrows_of_tests(document));
    none(tree.manifests().flat_map(|manifest| manifests::foreign_crates(manifest, &arrows, &in_tests)));
}

#[test]
fn modules_of_the_core_depend_only_along_the_arrows() {
    let tree = Tree::read();
    let arrows = table::arrows(&tree.file("ARCHITECTURE.md").text, "module");
    none(tree.sources_in("prorch-core/src/").flat_map(|file| modules::foreign_modules(file, &arrows)));
}

#[test]
fn the_arrows_make_no_circle_and_the_model_stands_below_all() {
    let text = Tree::read().file("ARCHITECTURE.md").text.clone();
    for of in ["crate", "module"] {
        assert_eq!(table::circle(&table::arrows(&text, of)), None, "in the table of each {of}");
    }
    assert!(table::arrows(&text, "module")["model"].is_empty());
    assert!(table::arrows(&text, "crate")["prorch-core"].is_empty());
}

#[test]
fn the_repository_does_not_know_the_one_in_memory() {
    none(Tree::read().sources_in("prorch-core/src/repository/").flat_map(modules::uses_memory));
}

#[test]
fn a_back_end_has_four_methods_to_write_and_four_to_know() {
    none(seam::too_wide(Tree::read().file("prorch-core/src/repository/contract.rs")));
}

#[test]
fn the_model_is_pure() {
    let tree = Tree::read();
    let model: Vec<&File> = tree.sources_in("prorch-core/src/model/").collect();
    assert!(model.len() > 5, "the model was not found");
    none(model.into_iter().flat_map(sources::impure));
}

#[test]
fn all_crates_have_one_version_and_ask_for_each_other_by_it() {
    let tree = Tree::read();
    none(manifests::versions_apart(tree.file("Cargo.toml")));
    none(tree.manifests().flat_map(manifests::own_version));
}

#[test]
fn all_crates_share_the_lints_and_those_say_what_they_must() {
    let tree = Tree::read();
    none(manifests::lints_left_out(tree.file("Cargo.toml")));
    none(tree.manifests().flat_map(manifests::no_lints));
}

#[test]
fn the_facade_has_no_code_of_its_own() {
    none(sources::more_than_exports(Tree::read().file("src/lib.rs")));
}

#[test]
fn files_stay_short() {
    none(Tree::read().sources().flat_map(sources::too_long));
}

#[test]
fn sql_is_a_constant() {
    none(Tree::read().sources().flat_map(sources::formatted_sql));
}

#[test]
fn nothing_is_left_undone() {
    none(Tree::read().sources().flat_map(sources::undone));
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    none(Tree::read().files().flat_map(documents::machine_paths));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let tree = Tree::read();
    none(
        tree.documents()
            .flat_map(|file| documents::dead_links(file, &|path| tree.holds(path), &|path| tree.text(path))),
    );
}
