/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/tcpframe.h"

#include <string.h>

enum {
	ETHERNET_LEN = 14,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	TCP_LEN = 20,
	TCP_OPTION_LEN = 4,
	TCP_PROTOCOL = 6,
	HOPS = 64,
};

static void put_be(uint8_t *out, uint32_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

/* The ones' complement sum of RFC 1071 over `in`, on top of `sum`. */
static uint32_t add_up(uint32_t sum, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? in[i] : (uint32_t)in[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t put_ethernet(uint8_t *out, enum nvc_direction direction, bool ipv6)
{
	/* Locally administered addresses: the host ends in 1, the controller in 2. */
	static const uint8_t mac[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

	memcpy(out, mac[direction == NVC_H2C ? 1 : 0], 6);
	memcpy(out + 6, mac[direction == NVC_H2C ? 0 : 1], 6);
	put_be(out + 12, ipv6 ? 0x86dd : 0x0800, 2);
	return ETHERNET_LEN;
}

static size_t put_ip(uint8_t *out, const struct nvc_tcp_ends *ends, int from, size_t len)
{
	if (ends->ipv6) {
		memset(out, 0, IPV6_LEN);
		out[0] = 0x60;
		put_be(out + 4, (uint32_t)len, 2);
		out[6] = TCP_PROTOCOL;
		out[7] = HOPS;
		memcpy(out + 8, ends->address[from], 16);
		memcpy(out + 24, ends->address[!from], 16);
		return IPV6_LEN;
	}
	memset(out, 0, IPV4_LEN);
	out[0] = 0x45;
	put_be(out + 2, (uint32_t)(IPV4_LEN + len), 2);
	out[6] = 0x40; /* do not fragment */
	out[8] = HOPS;
	out[9] = TCP_PROTOCOL;
	memcpy(out + 12, ends->address[from], 4);
	memcpy(out + 16, ends->address[!from], 4);
	put_be(out + 10, fold(add_up(0, out, IPV4_LEN)), 2);
	return IPV4_LEN;
}

static uint16_t tcp_checksum(
	const struct nvc_tcp_ends *ends, int from, const uint8_t *segment, size_t len)
{
	const size_t address_len = ends->ipv6 ? 16 : 4;
	uint32_t sum = TCP_PROTOCOL + (uint32_t)len;

	sum = add_up(sum, ends->address[from], address_len);
	sum = add_up(sum, ends->address[!from], address_len);
	return fold(add_up(sum, segment, len));
}

static size_t put_tcp(struct nvc_tcpframe *conn, int from, unsigned int flags,
	struct nvc_slice payload, uint8_t *out)
{
	const bool syn = flags & NVC_TCP_SYN;
	const size_t header = syn ? TCP_LEN + TCP_OPTION_LEN : TCP_LEN;

	memset(out, 0, header);
	put_be(out, conn->ends.port[from], 2);
	put_be(out + 2, conn->ends.port[!from], 2);
	put_be(out + 4, conn->next[from], 4);
	if (flags & NVC_TCP_ACK)
		put_be(out + 8, conn->next[!from], 4);
	out[12] = (uint8_t)(header / 4 << 4);
	out[13] = (uint8_t)flags;
	put_be(out + 14, 0xffff, 2);
	if (syn) {
		out[TCP_LEN] = 2; /* maximum segment size */
		out[TCP_LEN + 1] = TCP_OPTION_LEN;
		put_be(out + TCP_LEN + 2, NVC_TCPFRAME_SEGMENT, 2);
	}
	if (payload.len)
		memcpy(out + header, payload.data, payload.len);
	put_be(out + 16, tcp_checksum(&conn->ends, from, out, header + payload.len), 2);
	conn->next[from] += (uint32_t)payload.len + (syn || flags & NVC_TCP_FIN ? 1 : 0);
	return header + payload.len;
}

size_t nvc_tcpframe_make(struct nvc_tcpframe *conn, enum nvc_direction direction,
	unsigned int flags, struct nvc_slice payload, uint8_t out[NVC_TCPFRAME_MAX])
{
	const int from = direction == NVC_H2C ? 0 : 1;
	const size_t ip = put_ethernet(out, direction, conn->ends.ipv6);
	const size_t tcp = ip + (conn->ends.ipv6 ? IPV6_LEN : IPV4_LEN);
	size_t len;

	payload = nvc_slice_sub(payload, 0, NVC_TCPFRAME_SEGMENT);
	len = put_tcp(conn, from, flags, payload, out + tcp);
	put_ip(out + ip, &conn->ends, from, len);
	return tcp + len;
}
