/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a capture with libpcap and does nothing else: what reading costs at least. Prints the number of packets. */
#include <pcap/pcap.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	char why[PCAP_ERRBUF_SIZE] = "usage: bare_loop FILE";
	pcap_t *in = argc == 2 ? pcap_open_offline(argv[1], why) : NULL;
	struct pcap_pkthdr *header;
	const u_char *data;
	unsigned long packets = 0;

	if (!in) {
		fprintf(stderr, "bare_loop: %s\n", why);
		return 2;
	}
	while (pcap_next_ex(in, &header, &data) == 1)
		packets++;
	pcap_close(in);
	printf("%lu\n", packets);
	return 0;
}
