/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/interface.h"

#include <pcap/pcap.h>

#include "capture/frame.h"

enum { SNAP_LEN = 262144, KERNEL_BUFFER = 16 << 20 };

static enum nvc_result refuse(
	const char *name, int status, struct pcap *pcap, struct nvc_error *err)
{
	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
		return nvc_fail(err, NVC_E_INVALID,
			"interface %s: capturing is not permitted; it takes root, or CAP_NET_RAW "
			"for the engine",
			name);
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return nvc_fail(err, NVC_E_INVALID, "no interface is named '%s'", name);
	case PCAP_ERROR_IFACE_NOT_UP:
		return nvc_fail(err, NVC_E_INVALID, "interface %s is not up", name);
	default:
		return nvc_fail(err, NVC_E_INVALID, "interface %s: %s", name,
			status == PCAP_ERROR ? pcap_geterr(pcap) : pcap_statustostr(status));
	}
}

static enum nvc_result activate(
	const char *name, int hand_over_ms, struct pcap *pcap, struct nvc_error *err)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	int status;

	/* Not in immediate mode: in that the kernel's buffer has room for some large packets only. */
	pcap_set_snaplen(pcap, SNAP_LEN);
	pcap_set_buffer_size(pcap, KERNEL_BUFFER);
	pcap_set_timeout(pcap, hand_over_ms);
	pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
	status = pcap_activate(pcap);
	if (status < 0)
		return refuse(name, status, pcap, err);
	if (pcap_get_tstamp_precision(pcap) != PCAP_TSTAMP_PRECISION_NANO)
		return nvc_fail(
			err, NVC_E_INVALID, "interface %s has no times in nanoseconds", name);
	if (!nvc_frame_link_known(pcap_datalink(pcap)))
		return nvc_fail(err, NVC_E_INVALID,
			"interface %s has link type %d, which is not understood", name,
			pcap_datalink(pcap));
	/* On a silent interface libpcap's own waiting has no end, whatever its timeout says. */
	if (pcap_setnonblock(pcap, 1, why) != 0)
		return nvc_fail(err, NVC_E_SYSTEM, "interface %s: %s", name, why);
	return NVC_OK;
}

enum nvc_result nvc_interface_open(
	const char *name, int hand_over_ms, struct pcap **out, struct nvc_error *err)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	struct pcap *pcap = pcap_create(name, why);
	enum nvc_result result;

	*out = NULL;
	if (!pcap)
		return nvc_fail(err, NVC_E_INVALID, "interface %s: %s", name, why);
	result = activate(name, hand_over_ms, pcap, err);
	if (result == NVC_OK)
		*out = pcap;
	else
		pcap_close(pcap);
	return result;
}

enum nvc_result nvc_interface_filter(struct pcap *pcap, const char *filter, struct nvc_error *err)
{
	struct bpf_program program;
	int status = pcap_compile(pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN);

	if (status == 0) {
		status = pcap_setfilter(pcap, &program);
		pcap_freecode(&program);
	}
	return status == 0
		       ? NVC_OK
		       : nvc_fail(err, NVC_E_INVALID, "filter '%s': %s", filter, pcap_geterr(pcap));
}
