//! The list of all cases, and the macro that makes tests of them.

/// Generates the tests that tell whether a repository keeps the contract, in a module `conformance`.
///
/// Each test opens a repository of its own, by the expression that is given. One that keeps its runs in a file is
/// given a new directory for it, which is removed after the test.
///
/// ```
/// # use prorch_core::repository::MemoryRepository;
/// prorch_testkit::conformance!(async || MemoryRepository::new());
/// ```
///
/// or `prorch_testkit::conformance!(async |directory| MyRepository::open(directory.join("runs.db")).unwrap());`
#[macro_export]
macro_rules! conformance {
    (async || $make:expr) => {
        $crate::conformance!(async |_directory| $make);
    };
    (async |$directory:ident| $make:expr) => {
        #[cfg(test)]
        mod conformance {
            #[allow(
                unused_imports,
                reason = "what the expression needs is imported where the macro is called"
            )]
            use super::*;

            async fn repository($directory: ::std::path::PathBuf) -> impl $crate::__Repository {
                $make
            }

            $crate::__conformance_cases! { repository
                saving: [
                    a_new_run_is_stored_as_it_was_given,
                    a_run_that_was_never_saved_is_none,
                    one_id_is_saved_once,
                    two_of_one_batch_count_as_one_after_the_other,
                    a_run_that_cannot_be_stored_refuses_the_batch,
                    saving_nothing_is_fine,
                    a_thousand_runs_in_one_call,
                    somebody_who_waits_for_a_change_is_woken_by_a_save,
                ]
                restarts: [
                    it_is_inserted_with_its_records_and_where_it_comes_from,
                    it_is_claimed_where_it_begins,
                    it_may_begin_at_a_stage_with_several_members,
                    where_an_id_or_a_key_is_known_no_record_is_inserted,
                    ten_thousand_records_come_with_one_run,
                    it_is_found_by_where_it_comes_from,
                ]
                keys: [
                    a_taken_key_names_the_run_that_has_it,
                    two_of_one_batch_with_one_key_make_one_run,
                    pipelines_have_keys_of_their_own,
                    a_run_that_ended_still_has_its_key,
                    keys_are_compared_to_the_letter,
                    a_key_may_have_256_bytes,
                    a_start_that_rides_on_an_update_respects_keys,
                ]
                fencing: [
                    a_holder_writes_as_long_as_the_row_agrees,
                    an_epoch_too_low_or_too_high_is_stale,
                    another_holder_at_the_same_epoch_is_stale,
                    a_release_ends_the_power_of_its_epoch,
                    a_take_over_ends_the_power_of_the_last_holder,
                    a_second_claim_of_one_worker_ends_its_first,
                    a_lease_that_ran_out_is_still_held_until_somebody_takes_over,
                    a_renewal_moves_the_end_of_the_lease,
                    a_locator_and_none_both_find_the_run,
                    an_end_clears_the_lease_and_the_due_time,
                    an_update_of_a_missing_run_is_closed,
                ]
                idle: [
                    it_applies_to_a_run_that_nobody_holds_and_raises_the_epoch,
                    it_is_stale_at_another_epoch,
                    it_is_stale_while_a_lease_is_live,
                    it_applies_from_the_moment_the_lease_ends,
                    a_lease_of_a_foreign_clock_does_not_count,
                    it_leaves_the_lease_when_it_keeps,
                    one_that_ended_is_reopened_and_its_last_holder_stays_out,
                ]
                stale: [
                    a_late_worker_changes_nothing_at_another_epoch,
                    a_late_worker_changes_nothing_as_another_holder,
                    a_late_worker_changes_nothing_after_its_release,
                    a_late_reader_changes_nothing,
                    a_post_touches_nothing_but_the_inbox,
                ]
                batches: [
                    answers_come_in_the_order_of_the_updates,
                    a_bad_update_at_the_first_place_harms_no_other,
                    a_bad_update_in_the_middle_harms_no_other,
                    a_bad_update_at_the_last_place_harms_no_other,
                    a_rejected_update_writes_nothing,
                    what_no_store_can_take_is_rejected,
                    updating_nothing_is_fine,
                    a_thousand_updates_in_one_call,
                ]
                resending: [
                    a_message_posted_twice_is_one,
                    a_message_twice_in_one_batch_is_one,
                    a_message_that_was_taken_is_recognised,
                    an_update_that_keeps_the_claim_can_be_sent_twice,
                    an_update_sent_again_applies_whether_the_first_did_or_not,
                    a_late_copy_of_an_update_sent_again_undoes_nothing,
                    a_release_sent_again_ends_the_claim,
                    a_release_sent_twice_is_stale_and_changes_nothing,
                    a_claim_sent_twice_is_stale,
                    a_run_started_twice_is_one,
                ]
                inbox: [
                    messages_are_numbered_as_they_come,
                    every_kind_of_mail_is_kept_to_the_letter,
                    the_answer_tells_how_many_messages_came,
                    a_release_that_has_seen_all_waits,
                    a_release_that_has_not_seen_all_is_due_at_once,
                    a_release_that_has_not_seen_all_does_not_pause,
                    a_post_in_the_same_batch_is_not_overlooked,
                    a_taken_message_leaves_the_inbox_and_the_count_stays,
                    taking_what_is_not_there_does_nothing,
                ]
                posts: [
                    it_wakes_an_idle_run,
                    it_leaves_an_earlier_due_time,
                    a_signal_does_not_wake_a_run_that_was_not_begun,
                    a_cancel_or_a_resume_lifts_the_pause_of_an_idle_run,
                    it_does_not_touch_a_held_run,
                    one_to_a_run_that_ended_is_closed,
                    one_to_a_run_that_is_missing_is_closed,
                    one_that_rides_reaches_the_other_run,
                    one_that_rides_to_a_run_that_ended_is_dropped,
                    one_that_rides_to_a_missing_run_is_dropped,
                    one_to_the_own_run_wakes_it_after_the_release,
                ]
                children: [
                    a_parent_is_kept_to_the_letter,
                    a_child_is_started_with_the_record_that_says_so,
                    what_is_sent_to_a_child_with_its_start_is_in_its_inbox,
                    a_key_that_is_taken_starts_no_second_child,
                    the_end_of_a_child_wakes_an_idle_parent,
                    a_held_parent_hears_it_with_its_next_answer,
                    a_parent_that_ended_hears_nothing,
                    a_late_end_tells_nobody,
                    an_end_that_is_told_twice_is_heard_once,
                    a_thousand_children_in_one_update,
                ]
                definitions: [
                    the_list_of_steps_comes_back_as_it_was_given,
                    a_run_is_stored_under_another_definition,
                    a_holder_stores_its_run_under_another_definition,
                    a_run_stays_one_of_its_pipeline,
                    whoever_is_late_leaves_a_run_under_its_definition,
                    a_run_that_its_worker_left_behind_counts_as_cut_off,
                ]
                records: [
                    a_record_is_kept_as_it_was_written,
                    a_changed_record_is_replaced_whole,
                    a_removed_record_is_gone,
                    a_record_can_be_removed_and_written_anew,
                    the_state_of_a_run_is_kept_as_it_was_written,
                    an_update_without_a_state_leaves_it,
                    how_a_run_stands_among_many_is_kept_and_cleared,
                    what_a_record_started_is_kept_and_cleared,
                    a_thousand_records_in_one_update,
                ]
                parts: [
                    the_row_comes_alone,
                    work_is_the_last_two_stages_and_the_open_mail,
                    work_of_a_new_run_is_its_row,
                    work_among_many_leaves_out_what_has_finished,
                    work_among_many_begins_at_the_first_that_has_not_finished,
                    of_the_stage_before_work_brings_eight,
                    work_of_a_stage_without_records_is_what_came_before,
                    ten_thousand_records_are_read_page_by_page,
                    records_come_from_a_position_up_to_a_limit,
                ]
                undo: [
                    how_far_a_run_is_undone_is_kept_and_cleared,
                    how_far_a_record_is_undone_is_kept_and_cleared,
                    an_undoing_that_no_store_can_take_is_rejected,
                    work_of_a_run_that_is_undone_is_what_is_undone_next,
                    of_the_stage_before_the_first_eight_come,
                ]
                removal: [
                    a_run_goes_with_all_that_hung_on_it,
                    its_id_and_its_key_are_free_and_nothing_is_left,
                    one_that_has_not_ended_stays,
                    a_late_removal_removes_nothing,
                    a_removal_does_nothing_else,
                    a_seal_keeps_all_and_raises_the_epoch,
                    a_run_with_many_records_goes_in_pieces,
                    a_run_with_much_payload_goes_in_pieces,
                    many_are_removed_in_one_batch,
                ]
                ends: [
                    those_that_ended_first_come_first,
                    pages_by_end_go_on_behind_the_last,
                    children_and_restarted_runs_are_found_by_where_they_come_from,
                ]
                history: [
                    it_grows_with_the_updates_that_apply,
                    an_entry_is_kept_to_the_letter,
                    of_too_many_the_first_and_the_last_are_kept,
                    it_goes_with_the_run,
                    a_message_says_who_sent_it,
                ]
                search: [
                    an_empty_filter_finds_all,
                    by_status,
                    by_pipeline,
                    by_definitions,
                    by_key,
                    by_metadata_of_every_type,
                    a_number_is_found_only_as_it_was_written,
                    metadata_names_are_taken_to_the_letter,
                    metadata_that_was_changed_is_found_as_it_is_now,
                    by_the_time_of_the_start,
                    by_what_is_due,
                    by_when_it_became_due,
                    by_suspicion,
                    by_being_stuck,
                    everything_that_is_set_must_hold,
                ]
                paging: [
                    by_default_in_the_order_of_the_ids,
                    by_urgency,
                    by_due_time,
                    a_page_holds_a_hundred_unless_told_otherwise,
                    a_walk_by_cursor_sees_each_run_once,
                    a_walk_is_not_disturbed_by_runs_that_are_added,
                    the_last_page_has_no_next,
                    the_total_counts_more_than_the_page,
                ]
                claims: [
                    a_claim_is_the_run_after_it_was_claimed,
                    a_claim_brings_what_a_decision_needs,
                    a_second_claim_keeps_the_first_start,
                    a_take_over_counts_a_crash,
                    a_claim_makes_a_stuck_run_tried_again,
                    what_is_not_due_is_left,
                    a_held_run_is_left_until_its_lease_ends,
                    a_lease_of_a_foreign_clock_is_taken_over,
                    a_pass_claims_only_what_was_due_at_its_time,
                    the_own_runs_of_a_long_pass_take_no_places,
                    unknown_definitions_are_left_untouched,
                    what_was_claimed_is_not_claimed_again,
                ]
                choice: [
                    no_more_than_the_limit,
                    the_most_urgent_first,
                    the_longest_due_first_among_equals,
                    of_eight_places_one_goes_to_the_longest_due,
                    of_sixteen_places_two_go_to_the_longest_due,
                    a_suspect_is_given_only_to_who_asks,
                    no_more_than_one_suspect_at_once,
                    who_was_cut_off_a_second_time_is_taken_over_as_a_suspect,
                ]
                contention: [
                    claimers_never_share_a_run,
                    starts_with_one_key_make_one_run,
                    posts_from_everywhere_are_all_numbered,
                    one_of_many_readers_wins,
                    batches_that_post_to_each_other_do_not_lock_up,
                ]
                limits: [
                    no_more_runs_run_than_may,
                    a_run_counts_from_its_claim_to_its_end,
                    whatever_ends_a_run_makes_room,
                    the_most_urgent_goes_on_first_and_of_those_the_longest_due,
                    each_value_is_counted_by_itself,
                    a_claim_counts_until_it_is_given_back,
                    a_claim_that_is_over_is_counted_once,
                    a_run_that_is_paused_while_it_waits_is_passed_over,
                    messages_reach_a_run_that_waits,
                    a_claim_may_say_that_there_is_more_room_or_less,
                    a_run_below_another_does_not_wait_for_what_that_has,
                    starts_keep_to_their_rate,
                    the_most_urgent_starts_first,
                    a_burst_is_let_through_at_once,
                    one_that_waits_for_a_rate_holds_no_claim,
                    a_limit_is_exact_among_many_claims_at_once,
                    a_claim_by_an_update_respects_limits_too,
                    those_that_wait_are_found_by_a_search_and_come_last,
                ]
                next_due: [
                    an_empty_store_waits_for_a_change,
                    it_is_the_earliest_due_time,
                    after_an_empty_claim_it_lies_in_the_future,
                    a_held_run_counts_by_its_lease,
                    a_run_that_waits_for_a_message_does_not_count,
                    a_suspect_counts_only_for_who_asks,
                ]
                clocks: [
                    a_lease_is_over_by_the_clock_of_its_holder_alone,
                    a_lease_must_be_over_by_the_time_of_the_claim_too,
                    a_lease_from_the_future_is_its_holders_as_long_as_that_is_not_seen_to_be_there,
                    runs_that_may_not_be_taken_are_not_in_the_way_of_others,
                    what_is_held_has_no_time_at_which_it_is_due,
                    holders_are_shown_with_what_they_stamped,
                    the_latest_time_that_anybody_wrote_is_shown,
                ]
                turns: [
                    updates_apply_before_the_claim,
                    a_run_that_the_turn_starts_can_be_claimed_by_it,
                    a_turn_without_a_claim_claims_nothing,
                    a_turn_without_updates_only_claims,
                    a_bad_update_leaves_the_claim_alone,
                ]
                text: [
                    any_text_is_kept_to_the_letter,
                    an_empty_text_is_not_none,
                    inputs_of_every_length_are_kept,
                    ten_megabytes_are_kept,
                    names_that_look_like_commands_are_names,
                ]
                time: [
                    microseconds_are_kept,
                    times_before_1970_are_kept_and_sorted,
                    the_far_future_is_kept,
                    a_lease_without_end_does_not_overflow,
                ]
            }
        }
    };
}

/// The list of [`conformance!`] as modules and tests.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($make:ident $($theme:ident: [$($case:ident,)*])*) => {
        $(mod $theme {
            $(#[test]
            fn $case() {
                $crate::conformance::run(super::$make, $crate::conformance::$theme::$case);
            })*
        })*
    };
}

#[cfg(test)]
mod tests {
    /// A case that is not in the list is never run.
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("cases.rs");
        let themes = concat!(
            include_str!("saving.rs"),
            include_str!("restarts.rs"),
            include_str!("keys.rs"),
            include_str!("fencing.rs"),
            include_str!("idle.rs"),
            include_str!("stale.rs"),
            include_str!("batches.rs"),
            include_str!("resending.rs"),
            include_str!("inbox.rs"),
            include_str!("posts.rs"),
            include_str!("children.rs"),
            include_str!("definitions.rs"),
            include_str!("records.rs"),
            include_str!("parts.rs"),
            include_str!("search.rs"),
            include_str!("paging.rs"),
            include_str!("claims.rs"),
            include_str!("choice.rs"),
            include_str!("contention.rs"),
            include_str!("limits.rs"),
            include_str!("next_due.rs"),
            include_str!("clocks.rs"),
            include_str!("turns.rs"),
            include_str!("text.rs"),
            include_str!("time.rs"),
        );
        let cases: Vec<&str> =
            themes.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split('<').next()).collect();
        assert!(cases.len() > 100, "{}", cases.len());
        let missing: Vec<_> = cases.iter().filter(|case| !list.contains(&format!(" {case},"))).collect();
        assert!(missing.is_empty(), "not in the list of `conformance!`: {missing:?}");
    }
}
