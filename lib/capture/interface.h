/* SPDX-License-Identifier: BSD-3-Clause */
/* A network interface as libpcap gives it, set up the same for whoever reads it; for lib/capture only. */
#ifndef NVC_CAPTURE_INTERFACE_H
#define NVC_CAPTURE_INTERFACE_H

#include "wire/result.h"

struct pcap;

/*
 * nvc_interface_open begins to take the packets of `name`: whole, with times in nanoseconds, and reading never blocks. The
 * kernel gives what it has after `hand_over_ms`. NVC_E_INVALID where there is none of that name, it must not be read, or its
 * link type is not understood. Closed by pcap_close.
 */
enum nvc_result nvc_interface_open(
	const char *name, int hand_over_ms, struct pcap **out, struct nvc_error *err);

/* nvc_interface_filter lets through what `filter` (pcap-filter(7)) says. NVC_E_INVALID where it says nothing for this link
 * type: then everything still comes. */
enum nvc_result nvc_interface_filter(struct pcap *pcap, const char *filter, struct nvc_error *err);

#endif
