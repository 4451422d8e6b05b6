/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference target seen by the host emulator. Each story says what a correct target does; the clean target lives
 * through all of them, and every hand-named defect spoils at least one.
 */
#include "target_town.h"

#include <stdio.h>

#include "target_stories_auth.h"
#include "target_stories_channel.h"
#include "target_stories_faults.h"

static const struct {
	const char *name;
	const char *(*tell)(struct town *town);
} stories[] = {
	{"both ways", both_ways},
	{"what was offered", what_was_offered},
	{"fresh values", fresh_values},
	{"NULL group", null_group},
	{"gates", gates},
	{"two-way opens with Success2", two_way_opens_with_success2},
	{"AL", al_is_respected},
	{"order", order_is_kept},
	{"AUTH_Failure2", failure2_ends},
	{"C2 = C1", c2_is_not_c1},
	{"queues apart", queues_are_apart},
	{"association", failure_ends_the_association},
	{"policies", policies},
	{"discovery", discovery_log},
	{"silence", silence_ends},
	{"large KATO", large_kato},
	{"sticky SC_C", sc_c_is_not_sticky},
	{"I/O queue", io_queue_authenticates},
	{"re-authentication", reauthentication},
	{"weak values", weak_values_are_refused},
	{"channel", channel_is_known},
	{"identities", identities_are_exact},
	{"PSK in its time", psk_in_its_time},
	{"replace", replace_again_and_again},
	{"faults", faults_are_refused},
	{"odd lists", odd_lists_are_read},
	{"second descriptor", second_descriptor_counts},
	{"places", every_place_has_its_message},
	{"Success2 T_ID", success2_has_its_t_id},
	{"command fields", command_fields_are_judged},
	{"whole Success1", success1_is_whole},
	{"more refusals", more_refusals},
	{"reset", reset_ends_a_transaction},
	{"loss", loss_leaves_nothing},
	{"no KATO", no_kato},
	{"refused queue", refused_queue_is_shut},
	{"no PSK of failures", failures_make_no_psk},
	{"AUTH_Failure2 and association", failure2_ends_the_association},
	{"replace after a stall", replace_after_a_stall},
	{"age of a PSK", psk_dies_of_age},
	{"configured PSK", configured_psk_works},
	{"ports", ports_keep_to_their_channel},
	{"PDUs", pdus_are_well_made},
};

enum { NUM_STORIES = sizeof(stories) / sizeof(stories[0]) };

static const char *tell(size_t story, const char *defect)
{
	struct town town;
	const char *wrong;

	town_init(&town, defect);
	wrong = stories[story].tell(&town);
	town_fini(&town);
	return wrong;
}

START_TEST(clean_target_lives_through)
{
	const char *wrong = tell((size_t)_i, NULL);

	ck_assert_msg(wrong == NULL, "%s: %s", stories[_i].name, wrong);
}
END_TEST

/* Not told by a story: the stimulus needs more than a story has. */
static bool needs_more(const char *defect)
{
	static const char *const names[] = {
		"shared-secret-strip-zeros", /* a shared secret that begins with 00h */
		"stale-ks-length",	     /* a host that is free to choose its group */
		"alloc-host-length",	     /* a length beyond every transfer */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], defect) == 0)
			return true;
	return false;
}

/* Whether an implementation had it: what is only a rule broken in its own way, as the generated ones are, is left to the suites. */
static bool is_history(const struct nvc_target_defect *defect)
{
	return strcmp(defect->origin, "generated") != 0 && strcmp(defect->origin, "generic") != 0;
}

START_TEST(every_bug_of_history_spoils_a_story)
{
	struct nvc_target_defect defect;
	size_t story = 0;

	ck_assert(nvc_target_defect_at((size_t)_i, &defect));
	if (!is_history(&defect) || needs_more(defect.name))
		return;
	while (story < NUM_STORIES && !tell(story, defect.name))
		story++;
	ck_assert_msg(story < NUM_STORIES, "%s spoils nothing", defect.name);
}
END_TEST

/* The seed, exactly: the first REPLACETLSPSK succeeds, the second is a mismatch, NEWTLSPSK is taken, the rest works. */
START_TEST(free_sq_on_success)
{
	struct town town;
	struct nvc_queue *admin, *other;

	town_init(&town, "free-sq-on-success");
	admin = over_tls(&town, NVC_AUTH_CONCAT_UNI);
	ck_assert_ptr_nonnull(admin);
	ck_assert_int_eq(nvc_do_enable(admin, NULL), NVC_OK);
	ck_assert_uint_eq(
		authenticate(admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL), 0);
	ck_assert_uint_eq(identify_status(admin), 0);
	ck_assert_int_eq(nvc_host_admin_over_tls(&town.host, NULL, &other, NULL), NVC_OK);
	ck_assert_uint_eq(
		authenticate(admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL), 3);
	ck_assert(ends(admin));
	ck_assert_uint_eq(
		authenticate(other, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI, NULL), 0);
	ck_assert_uint_eq(authenticate(other, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI, NULL), 0);
	town_fini(&town);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reference target and host");
	TCase *tc = tcase_create("stories");
	SRunner *runner = srunner_create(suite);
	int failed, num_named = 0;
	struct nvc_target_defect defect;

	while (nvc_target_defect_at((size_t)num_named, &defect) &&
		strcmp(defect.origin, "generated") != 0)
		num_named++;
	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, clean_target_lives_through, 0, NUM_STORIES);
	tcase_add_loop_test(tc, every_bug_of_history_spoils_a_story, 0, num_named);
	tcase_add_test(tc, free_sq_on_success);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
