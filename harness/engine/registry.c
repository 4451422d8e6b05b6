/* SPDX-License-Identifier: BSD-3-Clause */
/* The cases that the suites registered, spread out over their parameters. */
#include "harness/engine/registry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CASES = 1024, MAX_INSTANCES = 4096 };

static const struct test_case *cases[MAX_CASES];
static size_t num_cases;
static struct instance instances[MAX_INSTANCES];
static size_t num_instances;

void case_register(const struct test_case *test_case)
{
	assert(num_cases < MAX_CASES);
	cases[num_cases++] = test_case;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct instance *)a)->id, ((const struct instance *)b)->id);
}

static void add_instance(const struct test_case *test_case, const struct case_param *param)
{
	struct instance *instance = &instances[num_instances];

	assert(num_instances < MAX_INSTANCES);
	instance->test_case = test_case;
	instance->param = param;
	snprintf(instance->id, sizeof(instance->id), "%s%s%s", test_case->id, param ? "/" : "",
		param ? param->name : "");
	num_instances++;
}

static bool left_open(enum req_id req)
{
	const struct nvc_requirement *row = nvc_requirement(req);

	return row->level == NVC_LEVEL_IMPL || row->level == NVC_LEVEL_CONTRADICTION;
}

enum teardown registry_teardown(const struct test_case *test_case)
{
	if (test_case->teardown != TEARDOWN_STATED)
		return test_case->teardown;
	if (left_open(test_case->checks[0]))
		return TEARDOWN_ANY;
	switch (nvc_requirement(test_case->checks[0])->ends) {
	case NVC_ENDS_OPEN:
		return TEARDOWN_USABLE;
	case NVC_ENDS_CLOSED:
	case NVC_ENDS_AFTER_ANSWER:
		return TEARDOWN_CLOSED;
	default:
		return TEARDOWN_ANY;
	}
}

const char *registry_silence(const struct test_case *test_case)
{
	if (test_case->teardown == TEARDOWN_ANY)
		return "the case leaves its connections where no end is stated";
	if (left_open(test_case->checks[0]))
		return "the specification leaves open what the case looks at";
	return "the requirement states no end of the connection";
}

static enum nvc_result lint(const struct test_case *test_case, struct nvc_error *err)
{
	if (!test_case->id || !strchr(test_case->id, '.'))
		return nvc_fail(err, NVC_E_INVALID, "case '%s' has no area in its id",
			test_case->id ? test_case->id : "(null)");
	if (!test_case->title || !test_case->title[0])
		return nvc_fail(err, NVC_E_INVALID, "case '%s' has no title", test_case->id);
	if (test_case->checks[0] == REQ_NONE)
		return nvc_fail(
			err, NVC_E_INVALID, "case '%s' names no requirement", test_case->id);
	if ((test_case->teardown == TEARDOWN_USABLE || test_case->teardown == TEARDOWN_CLOSED) &&
		left_open(test_case->checks[0]))
		return nvc_fail(err, NVC_E_INVALID,
			"case '%s' judges how the connection ends by %s, which the specification "
			"leaves "
			"open",
			test_case->id, nvc_requirement(test_case->checks[0])->id);
	return NVC_OK;
}

enum nvc_result registry_load(struct nvc_error *err)
{
	if (num_instances)
		return NVC_OK;
	for (size_t i = 0; i < num_cases; i++) {
		if (lint(cases[i], err))
			return err->result;
		if (!cases[i]->params)
			add_instance(cases[i], NULL);
		for (const struct case_param *param = cases[i]->params; param && param->name;
			param++)
			add_instance(cases[i], param);
	}
	qsort(instances, num_instances, sizeof(instances[0]), by_id);
	for (size_t i = 1; i < num_instances; i++)
		if (strcmp(instances[i - 1].id, instances[i].id) == 0)
			return nvc_fail(
				err, NVC_E_INVALID, "two cases have the id '%s'", instances[i].id);
	return NVC_OK;
}

const struct instance *registry_next(const struct instance *previous)
{
	size_t at = previous ? (size_t)(previous - instances) + 1 : 0;

	return at < num_instances ? &instances[at] : NULL;
}

const struct instance *registry_find(const char *id)
{
	struct instance key = {.id = ""};

	if (strlen(id) >= sizeof(key.id))
		return NULL;
	strcpy(key.id, id);
	return bsearch(&key, instances, num_instances, sizeof(instances[0]), by_id);
}
