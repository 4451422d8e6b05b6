/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "catalogue/catalogue.h"

static const struct nvc_requirement requirements[] = {
#define REQ(symbol, id, level, area, statement, stimulus, expected, citation, ends)                \
	{id, #symbol, NVC_LEVEL_##level, NVC_AREA_##area, statement, stimulus, expected, citation, \
		NVC_##ends},
#include "catalogue/requirements.def"
#undef REQ
};

static const char *const level_names[NVC_NUM_LEVELS] = {
	[NVC_LEVEL_SHALL] = "shall",
	[NVC_LEVEL_SHOULD] = "should",
	[NVC_LEVEL_IMPL] = "implementation-defined",
	[NVC_LEVEL_CONTRADICTION] = "contradiction",
	[NVC_LEVEL_OWN] = "nvme-conform's own",
};

static const char *const area_names[NVC_NUM_AREAS] = {
	[NVC_AREA_TRANSPORT] = "Transport",
	[NVC_AREA_CONNECT] = "Commands and Connect",
	[NVC_AREA_AUTH] = "Authentication commands",
	[NVC_AREA_NEGOTIATE] = "AUTH_Negotiate",
	[NVC_AREA_CHALLENGE] = "Challenge",
	[NVC_AREA_REPLY] = "Reply and Success1",
	[NVC_AREA_FAILURE] = "Failure, timeout, re-authentication",
	[NVC_AREA_CHANNEL] = "Concatenation and TLS",
	[NVC_AREA_HOST] = "Host",
	[NVC_AREA_OWN] = "nvme-conform's own",
};

static const char *const ends_names[NVC_NUM_ENDS] = {
	[NVC_ENDS_ANY] = "not judged",
	[NVC_ENDS_OPEN] = "open and usable",
	[NVC_ENDS_CLOSED] = "closed",
	[NVC_ENDS_AFTER_ANSWER] = "closed after the answer",
};

const struct nvc_requirement *nvc_requirement(enum req_id id)
{
	return id > REQ_NONE && id < NUM_REQS ? &requirements[id - 1] : NULL;
}

static int compare_id(const void *text, const void *row)
{
	return strcmp(text, ((const struct nvc_requirement *)row)->id);
}

enum req_id nvc_requirement_find(const char *text)
{
	const struct nvc_requirement *row =
		bsearch(text, requirements, NUM_REQS - 1, sizeof(requirements[0]), compare_id);

	return row ? (enum req_id)(row - requirements + 1) : REQ_NONE;
}

const char *nvc_level_name(enum nvc_level level)
{
	return level_names[level];
}

const char *nvc_area_name(enum nvc_area area)
{
	return area_names[area];
}

const char *nvc_ends_name(enum nvc_ends ends)
{
	return ends_names[ends];
}
