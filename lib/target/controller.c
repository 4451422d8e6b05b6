/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers: one for each association, alive as long as a queue points to it. */
#include "target/internal.h"

#include <stdlib.h>

struct controller *nvc_controller_find(const struct nvc_target *target, uint16_t cntlid)
{
	for (struct controller *c = target->controllers; c; c = c->next)
		if (c->cntlid == cntlid && !c->ended)
			return c;
	return NULL;
}

static bool cntlid_used(const struct nvc_target *target, uint16_t cntlid)
{
	for (const struct controller *c = target->controllers; c; c = c->next)
		if (c->cntlid == cntlid)
			return true;
	return false;
}

struct controller *nvc_controller_new(struct nvc_target *target)
{
	struct controller *controller;
	size_t num = 0;

	for (const struct controller *c = target->controllers; c; c = c->next)
		num++;
	if (num >= target->limits.max_controllers || num >= 0xfe00)
		return NULL;
	controller = calloc(1, sizeof(*controller));
	if (!controller)
		return NULL;
	do /* 1 to FFEFh: the others mean something else in Connect */
		target->next_cntlid = (uint16_t)(target->next_cntlid % 0xffef + 1);
	while (cntlid_used(target, target->next_cntlid));
	controller->cntlid = target->next_cntlid;
	controller->next = target->controllers;
	target->controllers = controller;
	return controller;
}

void nvc_controller_drop(struct conn *conn)
{
	struct controller *controller = conn->controller;
	struct controller **link = &conn->target->controllers;

	conn->controller = NULL;
	if (!controller)
		return;
	if (controller->admin == conn)
		controller->admin = NULL;
	if (--controller->num_queues > 0)
		return;
	while (*link != controller)
		link = &(*link)->next;
	*link = controller->next;
	free(controller);
}

uint64_t nvc_controller_deadline(const struct controller *controller)
{
	if (!controller->kato || controller->ended || !controller->admin)
		return NVC_NEVER;
	return controller->last_command + NVC_MS(controller->kato);
}
