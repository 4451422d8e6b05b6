/* SPDX-License-Identifier: BSD-3-Clause */
/* The packets of an interface, taken through libpcap by a process of its own while something else goes on. */
#ifndef NVC_CAPTURE_LIVE_H
#define NVC_CAPTURE_LIVE_H

#include "capture/file.h"

struct nvc_live;

/* nvc_live_open begins to take what `filter` (pcap-filter(7)) lets through on `interface`, and keeps at most `limit` bytes of
 * it. NULL with `err` filled: NVC_E_INVALID when there is no such interface, it must not be used, or its link type is not
 * understood; NVC_E_SYSTEM when there is no process for it. A process forked afterwards must leave it alone. Where its process ends
 * too early, no further packet comes. */
struct nvc_live *nvc_live_open(
	const char *interface, const char *filter, size_t limit, struct nvc_error *err);

/* nvc_live_link returns the link type of all packets. */
int nvc_live_link(const struct nvc_live *live);

/* nvc_live_forget drops what was taken so far, and counts anew. */
void nvc_live_forget(struct nvc_live *live);

/* nvc_live_settle waits, since what was sent just now is there a little later only: until `whole` says that all is there, or nothing
 * has come for a moment, a third of a second at most. */
void nvc_live_settle(struct nvc_live *live, bool (*whole)(void *self), void *self);

/* nvc_live_next gives the packet at `*at`, 0 being the first, which moves to the next; false behind the last. It is valid
 * until nvc_live_forget. */
bool nvc_live_next(struct nvc_live *live, size_t *at, struct nvc_packet *packet);

/* nvc_live_lost returns how many packets are missing since nvc_live_forget: dropped by the kernel, or beyond the limit. */
unsigned int nvc_live_lost(struct nvc_live *live);

/* nvc_live_close ends the capture and frees `live`; NULL is allowed. */
void nvc_live_close(struct nvc_live *live);

#endif
