/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/frame.h"

#include <string.h>

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_QINQ_OLD = 0x9100, /* of before 802.1ad, and still in use */
	PROTOCOL_TCP = 6,
	MAX_TAGS = 4,
	MAX_EXTENSIONS = 8,
};

/* What is left of a frame, and how many more bytes of it were on the wire. */
struct rest {
	struct nvc_slice in;
	size_t missing;
	bool cut; /* a header reaches beyond what was captured */
};

static uint32_t get_be(const uint8_t *in, size_t size)
{
	uint32_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | in[i];
	return value;
}

/* Takes `len` bytes of header off the front; NULL when they are not there. */
static const uint8_t *take(struct rest *rest, size_t len)
{
	const uint8_t *header = rest->in.data;

	if (rest->in.len < len) {
		rest->cut = rest->in.len + rest->missing >= len;
		return NULL;
	}
	rest->in = nvc_slice_sub(rest->in, len, rest->in.len);
	return header;
}

/* Cuts `rest` to `len` bytes as the IP header gives them: Ethernet pads short frames. */
static void limit(struct rest *rest, size_t len)
{
	if (len <= rest->in.len) {
		rest->in = nvc_slice_sub(rest->in, 0, len);
		rest->missing = 0;
	} else if (len - rest->in.len < rest->missing) {
		rest->missing = len - rest->in.len;
	}
}

bool nvc_frame_link_known(int link)
{
	switch (link) {
	case NVC_LINK_NULL:
	case NVC_LINK_EN10MB:
	case NVC_LINK_RAW_BSD:
	case NVC_LINK_RAW_OPENBSD:
	case NVC_LINK_RAW:
	case NVC_LINK_LOOP:
	case NVC_LINK_SLL:
	case NVC_LINK_IPV4:
	case NVC_LINK_IPV6:
	case NVC_LINK_SLL2:
		return true;
	default:
		return false;
	}
}

static bool is_tag(unsigned int type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_OLD;
}

/* Takes the link header off. Returns an Ethertype; where the link has none, that of the IP version; 0 when cut. */
static unsigned int take_link(int link, struct rest *rest)
{
	const uint8_t *header;
	unsigned int type;

	switch (link) {
	case NVC_LINK_EN10MB:
		header = take(rest, 14);
		type = header ? get_be(header + 12, 2) : 0;
		break;
	case NVC_LINK_SLL:
		header = take(rest, 16);
		type = header ? get_be(header + 14, 2) : 0;
		break;
	case NVC_LINK_SLL2:
		header = take(rest, 20);
		type = header ? get_be(header, 2) : 0;
		break;
	case NVC_LINK_NULL:
	case NVC_LINK_LOOP:
		/* The family's number differs between systems and byte orders; the IP version does not. */
		if (!take(rest, 4))
			return 0;
		/* fall through */
	default:
		if (!rest->in.len)
			return 0;
		return rest->in.data[0] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
	}
	for (int tags = 0; tags < MAX_TAGS && is_tag(type); tags++) {
		header = take(rest, 4);
		type = header ? get_be(header + 2, 2) : 0;
	}
	return type;
}

static enum nvc_frame_kind short_of(const struct rest *rest)
{
	return rest->cut ? NVC_FRAME_CUT : NVC_FRAME_OTHER;
}

/* The first fragment has the ports, further ones lie at an offset. */
static enum nvc_frame_kind kind_of_fragment(unsigned int offset, bool more)
{
	if (offset)
		return NVC_FRAME_LATER_FRAGMENT;
	return more ? NVC_FRAME_FRAGMENT : NVC_FRAME_TCP;
}

static enum nvc_frame_kind take_ipv4(struct rest *rest, struct nvc_tcp_ends *ends)
{
	const uint8_t *header = take(rest, 20);
	size_t header_len, total;

	if (!header)
		return short_of(rest);
	header_len = (size_t)(header[0] & 15u) * 4;
	total = get_be(header + 2, 2);
	if (header[0] >> 4 != 4 || header_len < 20 || header[9] != PROTOCOL_TCP)
		return NVC_FRAME_OTHER;
	if (!take(rest, header_len - 20))
		return short_of(rest);
	/* Segmentation offload leaves 0 where the length does not fit. */
	if (total) {
		if (total < header_len)
			return NVC_FRAME_OTHER;
		limit(rest, total - header_len);
	}
	memcpy(ends->address[0], header + 12, 4);
	memcpy(ends->address[1], header + 16, 4);
	return kind_of_fragment(get_be(header + 6, 2) & 0x1fff, get_be(header + 6, 2) & 0x2000);
}

/* The fragment header of IPv6. */
static enum nvc_frame_kind take_fragment(struct rest *rest)
{
	const uint8_t *header = take(rest, 8);

	if (!header)
		return short_of(rest);
	if (header[0] != PROTOCOL_TCP)
		return NVC_FRAME_OTHER;
	return kind_of_fragment(get_be(header + 2, 2) >> 3, get_be(header + 2, 2) & 1);
}

static enum nvc_frame_kind take_ipv6(struct rest *rest, struct nvc_tcp_ends *ends)
{
	const uint8_t *header = take(rest, 40), *extension;
	uint8_t next;

	if (!header)
		return short_of(rest);
	if (header[0] >> 4 != 6)
		return NVC_FRAME_OTHER;
	if (get_be(header + 4, 2))
		limit(rest, get_be(header + 4, 2));
	memcpy(ends->address[0], header + 8, 16);
	memcpy(ends->address[1], header + 24, 16);
	ends->ipv6 = true;
	next = header[6];
	for (int i = 0; i < MAX_EXTENSIONS && next != PROTOCOL_TCP; i++) {
		if (next == 44)
			return take_fragment(rest);
		if (next != 0 && next != 43 && next != 60) /* hop-by-hop, routing, destination */
			return NVC_FRAME_OTHER;
		extension = take(rest, 8);
		if (!extension || !take(rest, (size_t)extension[1] * 8))
			return short_of(rest);
		next = extension[0];
	}
	return next == PROTOCOL_TCP ? NVC_FRAME_TCP : NVC_FRAME_OTHER;
}

static void take_ports(const struct rest *rest, struct nvc_tcp_ends *ends)
{
	for (size_t i = 0; i < 2 && rest->in.len >= 4; i++)
		ends->port[i] = (uint16_t)get_be(rest->in.data + 2 * i, 2);
}

static enum nvc_frame_kind take_tcp(struct rest *rest, struct nvc_segment *out)
{
	const uint8_t *header;
	size_t header_len;

	take_ports(rest, &out->ends);
	header = take(rest, 20);
	if (!header)
		return short_of(rest);
	header_len = (size_t)(header[12] >> 4) * 4;
	if (header_len < 20)
		return NVC_FRAME_OTHER;
	if (!take(rest, header_len - 20))
		return short_of(rest);
	out->seq = get_be(header + 4, 4);
	out->ack = get_be(header + 8, 4);
	out->flags = header[13];
	out->payload = rest->in;
	out->missing = rest->missing;
	return NVC_FRAME_TCP;
}

enum nvc_frame_kind nvc_frame_parse(
	int link, struct nvc_slice frame, size_t wire_len, struct nvc_segment *out)
{
	struct rest rest = {
		.in = frame, .missing = wire_len > frame.len ? wire_len - frame.len : 0};
	enum nvc_frame_kind kind;

	*out = (struct nvc_segment){0};
	switch (take_link(link, &rest)) {
	case ETHERTYPE_IPV4:
		kind = take_ipv4(&rest, &out->ends);
		break;
	case ETHERTYPE_IPV6:
		kind = take_ipv6(&rest, &out->ends);
		break;
	default:
		return short_of(&rest);
	}
	if (kind == NVC_FRAME_FRAGMENT)
		take_ports(&rest, &out->ends);
	return kind == NVC_FRAME_TCP ? take_tcp(&rest, out) : kind;
}
