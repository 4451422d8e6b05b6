#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Builds vectors.json: NVMe/TCP DH-HMAC-CHAP, PSK and CRC32C test vectors.

All values are computed here in plain Python (hashlib/hmac/int arithmetic) and then cross-checked
against whatever independent implementations are present:
  * nvme-cli 2.3 / libnvme 1.3 binaries  (/usr/sbin/nvme)
  * a small C harness that links the original SPDK / libnvme / Linux C functions (path in $HARNESS,
    no default) - optional, only used for confirmation
  * python 'cryptography' (OpenSSL) for DH and HKDF
  * constants published in the specification, libnvme tests/psk.c and Linux auth_kunit.c
Any mismatch aborts the run.
"""
import base64, binascii, hashlib, hmac, json, os, subprocess, struct, sys, tempfile
from fractions import Fraction

OUT = os.environ.get("OUT", "vectors.json")
HARNESS = os.environ.get("HARNESS", "")
HAVE_H = os.access(HARNESS, os.X_OK)
NVME = "/usr/sbin/nvme"
HAVE_N = os.access(NVME, os.X_OK)
HN = {1: "sha256", 2: "sha384", 3: "sha512"}
HL = {1: 32, 2: 48, 3: 64}
checks = {"ok": 0}

def must(c, what):
    if not c:
        print("MISMATCH:", what); sys.exit(1)
    checks["ok"] += 1

def hx(b): return b.hex()
def H(i, d): return hashlib.new(HN[i], d).digest()
def HM(i, k, d): return hmac.new(k, d, HN[i]).digest()
def det(label, n):
    o = b""; c = 0
    while len(o) < n:
        o += hashlib.sha512(b"nvme-auth-vectors:" + label.encode() + bytes([c])).digest(); c += 1
    return o[:n]
def h(*a):
    r = subprocess.run([HARNESS, *map(str, a)], capture_output=True, text=True)
    return r.returncode, r.stdout.strip().split("\n")
def hkdf_expand_label(i, prk, label, ctx, L):
    lab = b"tls13 " + label
    info = struct.pack(">H", L) + bytes([len(lab)]) + lab + bytes([len(ctx)]) + ctx
    o = b""; t = b""; c = 1
    while len(o) < L:
        t = HM(i, prk, t + info + bytes([c])); o += t; c += 1
    return o[:L]
def hkdf_extract0(i, ikm): return HM(i, b"\0" * HL[i], ikm)
def crypt_hkdf_expand_label(i, prk, label, ctx, L):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
    lab = b"tls13 " + label
    info = struct.pack(">H", L) + bytes([len(lab)]) + lab + bytes([len(ctx)]) + ctx
    a = {1: hashes.SHA256(), 2: hashes.SHA384(), 3: hashes.SHA512()}[i]
    return HKDFExpand(algorithm=a, length=L, info=info).derive(prk)

V = {"meta": {"hash_ids": {"1": "SHA-256", "2": "SHA-384", "3": "SHA-512"},
              "byte_order": "S1/S2/T_ID enter the HMAC little-endian exactly as on the wire; DH values and secrets are big-endian, left-padded to the size of p",
              "confirmers": {
                "spec": "example printed in NVMe Base 2.2 8.3.4.5.8 or NVMe/TCP 1.0 3.6.1.3/3.6.1.5",
                "nvme-cli-2.3": "installed nvme-cli 2.3 (libnvme 1.3) run on this machine",
                "spdk-c": "SPDK 3230130c functions compiled and run",
                "libnvme-c": "nvme-cli e117ee68 libnvme/src/nvme/crypto.c functions compiled and run",
                "linux-c": "Linux 7.3.4 drivers/nvme/{common,target}/auth.c functions compiled against OpenSSL HMAC and run",
                "libnvme-test": "constant in libnvme tests/psk.c",
                "linux-kunit": "constant in Linux drivers/nvme/common/tests/auth_kunit.c",
                "openssl": "python cryptography / OpenSSL",
                "sse42": "CPU CRC32C instruction"}}}

# ---------------------------------------------------------------- DH groups
def e_bits(bits):
    # floor(2^bits * e) by exact series
    s = 0; t = 1 << (bits + 64); k = 0
    while t:
        s += t; k += 1; t //= k
    return s >> 64
GX = {1: (2048, 560316), 2: (3072, 2625351), 3: (4096, 5736041), 4: (6144, 15705020), 5: (8192, 10965728)}
P = {}
V["dh_groups"] = []
for gid, (b, X) in GX.items():
    p = (1 << b) - (1 << (b - 64)) + ((e_bits(b - 130) + X) << 64) - 1
    P[gid] = p
    conf = []
    r = subprocess.run(["openssl", "genpkey", "-algorithm", "DH", "-pkeyopt", "group:ffdhe%d" % b], capture_output=True)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    k = load_pem_private_key(r.stdout, None)
    must(k.parameters().parameter_numbers().p == p and k.parameters().parameter_numbers().g == 2, "ffdhe%d" % b)
    conf.append("openssl")
    V["dh_groups"].append({"dhgid": gid, "name": "ffdhe%d" % b, "bits": b, "dhvlen": b // 8, "g": 2, "p": "%x" % p,
                           "sha256_of_p_bytes": hashlib.sha256(p.to_bytes(b // 8, "big")).hexdigest(), "confirmed_by": conf})

# ---------------------------------------------------------------- secret representation
def crc32le(b): return struct.pack("<I", binascii.crc32(b) & 0xffffffff)
def dhhc(hid, key, tail=":", crc=None): return "DHHC-1:%02x:%s%s" % (hid, base64.b64encode(key + (crc32le(key) if crc is None else crc)).decode(), tail)
SPECKEY = bytes.fromhex("89AEB31A874EAF84841B46736B0DFDF2BA58D30AA2A545A3E235A3521E07594C")
def nvme_chk(cmd, s):
    if not HAVE_N: return None
    r = subprocess.run([NVME, cmd, "-k", s], capture_output=True, text=True)
    return {"rc": r.returncode, "msg": (r.stdout + r.stderr).strip()[:160]}
sp = []
def addkey(name, s, valid, why, key=None, hid=None, note=None):
    e = {"name": name, "secret": s, "spec_valid": valid, "reason": why, "confirmed_by": []}
    if key is not None: e.update(key=hx(key), hash_id=hid, crc32="%08x" % binascii.crc32(key))
    n = nvme_chk("check-dhchap-key", s)
    if n:
        e["nvme_cli_2_3"] = n
        if (n["rc"] == 0) == valid: e["confirmed_by"].append("nvme-cli-2.3")
    if HAVE_H and len(s) > 10:
        rc, o = h("linux_extract", s[10:])
        e["linux_extract_key"] = "ok " + o[0] if rc == 0 else "error " + o[0]
        if valid and rc == 0 and key is not None:
            must(o[0] == hx(key), name); e["confirmed_by"].append("linux-c")
        if not valid and rc: e["confirmed_by"].append("linux-c")
    if note: e["note"] = note
    sp.append(e)
s = dhhc(0, SPECKEY)
must(s == "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:", "spec DHHC example")
addkey("spec_example", s, True, "NVMe Base 2.2 8.3.4.5.8 example", SPECKEY, 0); sp[-1]["confirmed_by"].append("spec")
K32, K48, K64 = det("k32", 32), det("k48", 48), det("k64", 64)
for hid, k in ((0, K32), (0, K48), (0, K64), (1, K32), (2, K48), (3, K64)):
    addkey("valid_h%02x_len%d" % (hid, len(k)), dhhc(hid, k), True, "", k, hid)
for hid, k in ((1, K48), (1, K64), (2, K32), (3, K32)):
    addkey("valid_cross_h%02x_len%d" % (hid, len(k)), dhhc(hid, k), True, "the spec does not tie the secret length to the hash id", k, hid,
           note="nvme-cli 2.x ties length to hash and rejects this; Linux accepts")
addkey("bad_crc", dhhc(1, K32, crc=struct.pack("<I", binascii.crc32(K32) ^ 1)), False, "CRC-32 mismatch: secret shall not be used")
addkey("crc_big_endian", dhhc(1, K32, crc=struct.pack(">I", binascii.crc32(K32))), False, "CRC must be little-endian")
addkey("crc_not_inverted", dhhc(1, K32, crc=struct.pack("<I", binascii.crc32(K32) ^ 0xffffffff)), False, "final XOR missing")
addkey("no_crc", "DHHC-1:01:" + base64.b64encode(K32).decode() + ":", False, "no CRC: 32 decoded bytes")
for n in (0, 16, 31, 33, 40, 47, 63, 65, 128):
    k = det("odd", n); addkey("bad_len_%d" % n, dhhc(1, k), False, "secret must be 32, 48 or 64 bytes")
addkey("bad_version", dhhc(1, K32).replace("DHHC-1", "DHHC-2"), False, "unknown representation version")
addkey("bad_prefix", dhhc(1, K32).replace("DHHC-1", "dhhc-1"), False, "prefix is case sensitive")
addkey("hash_04_reserved", dhhc(4, K32), False, "hash id 04h is reserved")
addkey("hash_ff_reserved", dhhc(0xff, K32), False, "hash id FFh is reserved")
addkey("hash_one_digit", dhhc(1, K32).replace(":01:", ":1:"), False, "hash is two hexadecimal ASCII characters")
addkey("hash_not_hex", dhhc(1, K32).replace(":01:", ":zz:"), False, "hash is two hexadecimal ASCII characters")
addkey("no_trailing_colon", dhhc(1, K32, tail=""), False, "':' is also the terminator", note="Linux accepts a missing final ':' (implementation leniency)")
addkey("trailing_garbage", dhhc(1, K32) + "x", False, "nothing may follow the terminator", note="Linux strrchr(':') ignores what follows")
addkey("bad_base64_char", dhhc(1, K32).replace("A", "*", 1) if "A" in dhhc(1, K32)[10:] else dhhc(1, K32)[:12] + "*" + dhhc(1, K32)[13:], False, "not Base64")
addkey("base64url_alphabet", "DHHC-1:01:" + base64.urlsafe_b64encode(b"\xff" * 32 + crc32le(b"\xff" * 32)).decode() + ":", False, "RFC 4648 clause 4 alphabet required")
k = det("pad", 32)
addkey("all_zero_secret", dhhc(1, bytes(32)), True, "syntactically valid (policy may refuse)", bytes(32), 1)
V["dhchap_secret_parse"] = sp

# ---------------------------------------------------------------- transformed keys
HOST = "nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
SUB = "nqn.2014-08.org.nvmexpress:uuid:36ebf5a9-1df9-47b3-a6d0-e9ba32e428a2"
def transform(hid, k, nqn): return k if hid == 0 else HM(hid, k, nqn.encode() + b"NVMe-over-Fabrics")
tk = []
for hid, k in ((0, K32), (0, K48), (0, K64), (1, K32), (2, K48), (3, K64), (1, K64), (3, K32), (2, K32)):
    for role, nqn in (("host", HOST), ("subsystem", SUB)):
        t = transform(hid, k, nqn); c = []
        if HAVE_H:
            rc, o = h("linux_transform", hid, hx(k), nqn); must(rc == 0 and o[0] == hx(t), "linux transform"); c.append("linux-c")
        if HAVE_N and (hid == 0 or len(k) == HL[hid]):
            r = subprocess.run([NVME, "gen-dhchap-key", "-s", hx(k), "-l", str(len(k)), "-n", nqn, "-m", str(hid)], capture_output=True, text=True)
            raw = base64.b64decode(r.stdout.strip().split(":")[2]); must(raw[:-4] == t, "nvme-cli transform"); c.append("nvme-cli-2.3")
        tk.append({"hash_id": hid, "secret": hx(k), "nqn": nqn, "role": role, "key": hx(t), "confirmed_by": c})
V["transformed_keys"] = tk

# ---------------------------------------------------------------- DH-HMAC-CHAP
def R(hid, key, ca, s, tid, scc, role, n1, n2):
    return HM(hid, key, ca + struct.pack("<IHB", s, tid, scc) + role + n1.encode() + b"\0" + n2.encode())
def dh_confirm(p, x, gy, y, gx, z):
    from cryptography.hazmat.primitives.asymmetric import dh
    pn = dh.DHParameterNumbers(p, 2)
    prv = dh.DHPrivateNumbers(x, dh.DHPublicNumbers(pow(2, x, p), pn)).private_key()
    pub = dh.DHPublicNumbers(gy, pn).public_key()
    o = prv.exchange(pub)
    n = (p.bit_length() + 7) // 8
    return o.rjust(n, b"\0") == z
dc = []
def mkcase(name, hid, gid, scc, s1, s2, cvalid, tid, hostsec, hosthash, ctrlsec, ctrlhash, x=None, y=None, note=None, conf_dh=True):
    L = HL[hid]
    c1, c2 = det(name + "c1", L), det(name + "c2", L)
    e = {"name": name, "hash_id": hid, "dhgid": gid, "sc_c": scc, "t_id": tid, "s1": s1, "s2": s2, "cvalid": cvalid, "hostnqn": HOST, "subnqn": SUB,
         "host_secret": hx(hostsec), "host_secret_hash": hosthash, "ctrl_secret": hx(ctrlsec), "ctrl_secret_hash": ctrlhash,
         "host_secret_text": dhhc(hosthash, hostsec), "ctrl_secret_text": dhhc(ctrlhash, ctrlsec), "c1": hx(c1), "c2": hx(c2)}
    kh, kc = transform(hosthash, hostsec, HOST), transform(ctrlhash, ctrlsec, SUB)
    e["kh"], e["kc"] = hx(kh), hx(kc)
    conf = []
    ks = None; z = b""
    if gid:
        p = P[gid]; n = (p.bit_length() + 7) // 8
        gx, gy = pow(2, x, p), pow(2, y, p)
        zi = pow(gy, x, p); must(zi == pow(gx, y, p), "dh"); z = zi.to_bytes(n, "big"); ks = H(hid, z)
        e.update(x_controller="%x" % x, y_host="%x" % y, dhv_controller=hx(gx.to_bytes(n, "big")), dhv_host=hx(gy.to_bytes(n, "big")),
                 shared_secret=hx(z), ks=hx(ks), dhvlen=n)
        if conf_dh: must(dh_confirm(p, x, gy, y, gx, z), "openssl dh"); conf.append("openssl")
        ca1, ca2 = HM(hid, ks, c1), HM(hid, ks, c2)
    else:
        ca1, ca2 = c1, c2
    r1 = R(hid, kh, ca1, s1, tid, scc, b"HostHost", HOST, SUB)
    r2 = R(hid, kc, ca2, s2, tid, scc, b"Controller", SUB, HOST)
    e.update(ca1=hx(ca1), r1=hx(r1))
    if cvalid and s2: e.update(ca2=hx(ca2), r2=hx(r2))
    if HAVE_H:
        rc, o = h("linux_hash", "host", hid, hosthash, hx(hostsec), hx(ks) if ks else "-", hx(c1), s1, tid, scc, HOST, SUB); must(rc == 0 and o[0] == hx(r1), name + " linux r1")
        rc, o = h("linux_hash", "ctrl", hid, ctrlhash, hx(ctrlsec), hx(ks) if ks else "-", hx(c2), s2, tid, scc, HOST, SUB); must(rc == 0 and o[0] == hx(r2), name + " linux r2")
        rc, o = h("spdk_calc", hid, hosthash, hx(hostsec), "HostHost", s1, tid, scc, HOST, SUB, hx(z) if z else "-", hx(c1)); must(rc == 0 and o[0] == hx(r1), name + " spdk r1")
        rc, o = h("spdk_calc", hid, ctrlhash, hx(ctrlsec), "Controller", s2, tid, scc, SUB, HOST, hx(z) if z else "-", hx(c2)); must(rc == 0 and o[0] == hx(r2), name + " spdk r2")
        if ks:
            rc, o = h("linux_aug", hid, hx(ks), hx(c1)); must(rc == 0 and o[0] == hx(ca1), "aug")
        conf += ["linux-c", "spdk-c"]
    if gid and z[0] == 0:
        kz = H(hid, z.lstrip(b"\0")); e["wrong_if_leading_zero_stripped"] = {"ks": hx(kz), "r1": hx(R(hid, kh, HM(hid, kz, c1), s1, tid, scc, b"HostHost", HOST, SUB))}
    if scc:
        psk = HM(hid, ks, c1 + c2); e["generated_psk"] = hx(psk); e["concat"] = gen_psk_chain(hid, ks, c1, c2, HOST, SUB)
    # whole messages
    neg = bytes([0, 0, 0, 0]) + struct.pack("<H", tid) + bytes([scc, 1]) + bytes([1, 0, 3, 5 if scc else 6]) + bytes([1, 2, 3]).ljust(30, b"\0") + (bytes([1, 2, 3, 4, 5]) if scc else bytes([0, 1, 2, 3, 4, 5])).ljust(30, b"\0")
    dv = bytes.fromhex(e.get("dhv_controller", "")); hv = bytes.fromhex(e.get("dhv_host", ""))
    cha = bytes([1, 1, 0, 0]) + struct.pack("<HBBBBHI", tid, L, 0, hid, gid, len(dv), s1) + c1 + dv
    rep = bytes([1, 2, 0, 0]) + struct.pack("<HBBBBHI", tid, L, 0, 1 if cvalid else 0, 0, len(hv), s2) + r1 + (c2 if cvalid else bytes(L)) + hv
    bid = bool(cvalid and s2)
    s1m = bytes([1, 3, 0, 0]) + struct.pack("<HBB", tid, L, 0) + bytes([1 if bid else 0]) + bytes(7) + (r2 if bid else bytes(L))
    e["messages"] = {"AUTH_Negotiate": hx(neg), "Challenge": hx(cha), "Reply": hx(rep), "Success1": hx(s1m)}
    if bid: e["messages"]["Success2"] = hx(bytes([1, 4, 0, 0]) + struct.pack("<H", tid) + bytes(10))
    must(len(neg) == 72 and len(cha) == 16 + L + len(dv) and len(rep) == 16 + 2 * L + len(hv) and len(s1m) == 16 + L, "lens")
    if note: e["note"] = note
    e["confirmed_by"] = conf
    dc.append(e)

def b64(b): return base64.b64encode(b).decode()
def gen_psk_chain(hid, ks, c1, c2, host, sub):
    psk = HM(hid, ks, c1 + c2); r = {"ks": hx(ks), "c1": hx(c1), "c2": hx(c2), "hostnqn": host, "subnqn": sub, "hash_id": hid, "generated_psk": hx(psk), "confirmed_by": []}
    if HAVE_H:
        rc, o = h("linux_psk", hid, hx(ks), hx(c1), hx(c2)); must(rc == 0 and o[0] == hx(psk), "linux psk"); r["confirmed_by"].append("linux-c")
    if hid == 3:
        r["note"] = "SHA-512 negotiated: the PSK itself is defined (64 bytes) but no TLS 1.3 mandatory cipher suite uses SHA-512; Linux refuses to build a digest/identity. Identity/TLS PSK: UNSPECIFIED here."
        return r
    dig = b64(HM(hid, psk, host.encode() + b" " + sub.encode() + b" NVMe-over-Fabrics"))
    must(len(dig) == {1: 44, 2: 64}[hid], "digest len")
    ident = "NVMe1G%02d %s %s %s" % (hid, host, sub, dig)
    ctx = ("%02d %s" % (hid, dig)).encode(); L = HL[hid]
    prk = hkdf_extract0(hid, psk); tls = hkdf_expand_label(hid, prk, b"nvme-tls-psk", ctx, L)
    must(crypt_hkdf_expand_label(hid, prk, b"nvme-tls-psk", ctx, L) == tls, "hkdf openssl"); r["confirmed_by"].append("openssl")
    if HAVE_H:
        rc, o = h("linux_digest", hid, hx(psk), host, sub); must(rc == 0 and o[0] == dig, "linux digest")
        rc, o = h("linux_tls", hid, hx(psk), dig); must(rc == 0 and o[0] == hx(tls), "linux tls psk")
    r.update(psk_digest=dig, identity_v1=ident, prk=hx(prk), tls_psk_v1=hx(tls))
    id0 = "NVMe0G%02d %s %s" % (hid, host, sub)
    r.update(identity_v0=id0, tls_psk_v0=(hx(hkdf_expand_label(hid, prk, b"nvme-tls-psk", id0.encode(), L)) if len(id0) <= 255 else None))
    if HAVE_H and r["tls_psk_v0"]:
        rc, o = h("spdk_tls", hid, hx(psk), id0); must(rc == 0 and o[0] == r["tls_psk_v0"], "spdk tls v0 G"); r["confirmed_by"].append("spdk-c (v0 only)")
    return r

def exps(name): return int.from_bytes(det(name + "x", 64), "big") | 1 << 511, int.from_bytes(det(name + "y", 64), "big") | 1 << 511
for hid in (1, 2, 3):
    for gid in (0, 1, 2):
        nm = "h%d_g%d_bidir" % (hid, gid); x, y = exps(nm)
        mkcase(nm, hid, gid, 0, 0x11223344 + hid, 0xA0B0C0D0 + gid, 1, 0x1234 + gid, K32 if hid != 2 else K48, {1: 1, 2: 2, 3: 0}[hid], K48, {1: 2, 2: 0, 3: 3}[hid], x, y)
x, y = exps("h1_g1_unidir"); mkcase("h1_g1_unidir", 1, 1, 0, 1, 7, 0, 0, K32, 0, K32, 0, x, y, note="CVALID=0: 32 zero bytes in place of C2; SUCCESS1 carries RVALID=0 and HL zero bytes")
x, y = exps("h3_g5_bidir"); mkcase("h3_g5_bidir", 3, 5, 0, 0xFFFFFFFF, 1, 1, 0xFFFF, K64, 3, K64, 3, x, y, note="ffdhe8192: challenge 1104 bytes, reply 1168 bytes")
x, y = exps("h1_g2_newtlspsk_uni"); mkcase("h1_g2_newtlspsk_uni", 1, 2, 2, 0x01020304, 0, 1, 0xBEEF, K32, 1, K32, 1, x, y, note="NEWTLSPSK, S2=0: C2 carried, no controller authentication")
x, y = exps("h2_g2_newtlspsk_bidir"); mkcase("h2_g2_newtlspsk_bidir", 2, 2, 2, 0x0A0B0C0D, 0x51525354, 1, 0x00FF, K48, 2, K48, 2, x, y, note="NEWTLSPSK with bidirectional authentication")
x, y = exps("h2_g3_replacetlspsk_uni"); mkcase("h2_g3_replacetlspsk_uni", 2, 3, 3, 99, 0, 1, 2, K48, 2, K48, 2, x, y, note="REPLACETLSPSK")
x, y = exps("h3_g2_newtlspsk_sha512"); mkcase("h3_g2_newtlspsk_sha512", 3, 2, 2, 5, 0, 1, 2, K64, 3, K64, 3, x, y)
# leading zero in shared secret, and in a public value
p = P[1]; x = exps("lz")[0]; y = exps("lz")[1]; gx = pow(2, x, p); n = 256; tries = 0
while pow(gx, y, p).bit_length() > 8 * (n - 1): y += 2; tries += 1
mkcase("h1_g1_leading_zero_secret", 1, 1, 0, 3, 4, 1, 9, K32, 1, K32, 1, x, y, note="g^xy has at least one leading zero byte; the hash input must keep it")
y2 = exps("lzp")[1]
while pow(2, y2, p).bit_length() > 8 * (n - 1): y2 += 2
mkcase("h2_g1_leading_zero_pubkey", 2, 1, 0, 3, 4, 1, 9, K48, 2, K48, 2, x, y2, note="host DH value has a leading zero byte; DHVLEN stays 256", conf_dh=True)
V["dhchap"] = dc

# ---------------------------------------------------------------- generated PSK chains (incl. Linux KUnit)
gp = []
for hid in (1, 2, 3):
    L = HL[hid]; ks = bytes(((65 + i) & 255) for i in range(L)); c1 = bytes(range(L)); c2 = bytes(255 - i for i in range(L))
    r = gen_psk_chain(hid, ks, c1, c2, "hostnqn", "subsysnqn"); gp.append(r)
must(gp[0]["generated_psk"] == "1733c59fa7f48fcf37f5f26fc4ff0268ad4f78e030f4f3b0bfd1d47e7bb1447a", "kunit psk256")
must(gp[0]["psk_digest"] == "OldoKuTfKddMuyCznAZojkWD7P4D9/AtzDzLimtOxqI=", "kunit digest")
must(gp[0]["tls_psk_v1"] == "3c17da628474a04d2247c4cab47968c91538819 3f7c071bd9489cc3666cd7cc8".replace(" ", ""), "kunit tls psk")
must(gp[1]["generated_psk"] == "f14b2dd3234c459694d3bc63f8968bd6b37c2c6de849e22e118749001ce4bbe8640b9e3a748cb11ce4b1d71d359cce39", "kunit psk384")
must(gp[1]["psk_digest"] == "cffMWk8TSS7HOQebjgYEIkrPrjWPV4JE5cdPB8WhEvY4JBW5YynKyv66XscN4A9n", "kunit digest384")
must(gp[1]["tls_psk_v1"] == "277475323353 7b3fa50eb7d16a8e43457d85f4906c005b2236616c5d80939d0898fff15bb8b77119d2be0aac423e7590".replace(" ", ""), "kunit tls384")
must(gp[2]["generated_psk"].startswith("9c9f089a618b47d2d75f4b6c28070424"), "kunit psk512")
for r in gp: r["confirmed_by"].append("linux-kunit")
V["generated_psk"] = gp

# ---------------------------------------------------------------- configured / retained PSK
def tlskey(hid, k, crc=None, tail=":"): return "NVMeTLSkey-1:%02x:%s%s" % (hid, b64(k + (crc32le(k) if crc is None else crc)), tail)
CP32 = bytes.fromhex("5512DBB6737D0106F65975B773DFB011FFC344BCF442E2DD6D8BC4870B5D5B03")
CP48 = CP32 + CP32[16:]
must(tlskey(1, CP32) == "NVMeTLSkey-1:01:VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwNf9LrZ:", "spec tls key")
must(tlskey(2, CP48) == "NVMeTLSkey-1:02:VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwP/w0S89ELi3W2LxIcLXVsDn8kXZQ==:", "libnvme tls key")
rp = []
for (hid, k, host, sub) in ((0, CP32, "nqn.psk-test-host", "nqn.psk-test-subsys"), (1, CP32, "nqn.psk-test-host", "nqn.psk-test-subsys"), (2, CP48, "nqn.psk-test-host", "nqn.psk-test-subsys"),
                            (0, CP48, HOST, SUB), (1, CP32, HOST, SUB), (2, CP48, HOST, SUB), (1, det("cp", 32), "nqn.2014-08.org.example:h", "nqn.2014-08.org.example:s"), (2, det("cp", 48), "nqn.2014-08.org.example:h", "nqn.2014-08.org.example:s")):
    cid = hid if hid else {32: 1, 48: 2}[len(k)]
    L = HL[cid]
    ret = k if hid == 0 else hkdf_expand_label(hid, hkdf_extract0(hid, k), b"HostNQN", host.encode(), len(k))
    e = {"configured_psk": hx(k), "interchange": tlskey(hid, k), "retained_hash": hid, "cipher_hash": cid, "hostnqn": host, "subnqn": sub, "retained_psk": hx(ret), "confirmed_by": ["openssl"]}
    prk = hkdf_extract0(cid, ret)
    if hid: must(crypt_hkdf_expand_label(hid, hkdf_extract0(hid, k), b"HostNQN", host.encode(), len(k)) == ret, "retained openssl")
    id0 = "NVMe0R%02d %s %s" % (cid, host, sub)
    t0 = hkdf_expand_label(cid, prk, b"nvme-tls-psk", id0.encode(), L)
    dig = b64(HM(cid, ret, host.encode() + b" " + sub.encode() + b" NVMe-over-Fabrics"))
    id1 = "NVMe1R%02d %s %s %s" % (cid, host, sub, dig)
    t1 = hkdf_expand_label(cid, prk, b"nvme-tls-psk", ("%02d %s" % (cid, dig)).encode(), L)
    e.update(identity_v0=id0, identity_v0_len=len(id0), tls_psk_v0=hx(t0), psk_digest=dig, identity_v1=id1, identity_v1_len=len(id1), tls_psk_v1=hx(t1))
    if HAVE_H:
        rc, o = h("libnvme_keys", 0, hid, hx(k), host, sub); must(rc == 0 and o == [hx(ret), id0, hx(t0)], "libnvme v0")
        rc, o = h("libnvme_keys", 1, hid, hx(k), host, sub); must(rc == 0 and o == [hx(ret), id1, hx(t1)], "libnvme v1"); e["confirmed_by"].append("libnvme-c")
        if hid:
            rc, o = h("spdk_retained", hid, hx(k), host); must(rc == 0 and o[0] == hx(ret), "spdk retained")
        rc, o = h("spdk_tls", cid, hx(ret), id0); must(rc == 0 and o[0] == hx(t0), "spdk tls v0"); e["confirmed_by"].append("spdk-c (retained, v0)")
        rc, o = h("linux_tls", cid, hx(ret), dig); must(rc == 0 and o[0] == hx(t1), "linux tls v1"); e["confirmed_by"].append("linux-c (digest context)")
    if host == "nqn.psk-test-host" and hid == 1:
        must(id1.endswith(" iSbjiStwJ/1TrTvDlt2fjFmzvsytOJelidNnA+X5lEU="), "libnvme test id1"); e["confirmed_by"].append("libnvme-test (identity)")
    if host == "nqn.psk-test-host" and hid == 2:
        must(id1.endswith(" QhW2+Rp6RzHlNtCslyRxMnwJ11tKKhz8JCAQpQ+XUD8f9td1VeH5h53yz2wKJG1a"), "libnvme test id2"); e["confirmed_by"].append("libnvme-test (identity)")
    if HAVE_N and nvme_chk("check-tls-key", e["interchange"])["rc"] == 0: e["confirmed_by"].append("nvme-cli-2.3 (interchange syntax)")
    rp.append(e)
V["retained_psk"] = rp
tp = []
def addtls(name, s, valid, why):
    n = nvme_chk("check-tls-key", s); e = {"name": name, "key": s, "spec_valid": valid, "reason": why, "nvme_cli_2_3": n, "confirmed_by": ["nvme-cli-2.3"] if n and (n["rc"] == 0) == valid else []}
    tp.append(e)
addtls("spec_example", tlskey(1, CP32), True, "NVMe/TCP 1.0 3.6.1.5"); tp[-1]["confirmed_by"].append("spec")
addtls("h00_32", tlskey(0, CP32), True, ""); addtls("h00_48", tlskey(0, CP48), True, ""); addtls("h02_48", tlskey(2, CP48), True, "")
addtls("h01_48", tlskey(1, CP48), True, "spec does not tie length to hash; SPDK requires length == hash length")
addtls("bad_crc", tlskey(1, CP32, crc=b"\0\0\0\0"), False, "CRC mismatch: shall not be used")
addtls("h03", tlskey(3, det("x", 64)), False, "only 00, 01, 02 defined"); addtls("len_64", tlskey(1, det("x", 64)), False, "32 or 48 bytes only")
addtls("len_16", tlskey(1, det("x", 16)), False, "32 or 48 bytes only"); addtls("no_colon", tlskey(1, CP32, tail=""), False, "terminator missing")
addtls("bad_version", tlskey(1, CP32).replace("key-1", "key-2"), False, "unknown version")
V["tls_interchange_parse"] = tp

# ---------------------------------------------------------------- TLS 1.3 external PSK schedule pieces
ts = []
for r in (gp[0], gp[1]):
    i = r["hash_id"]; psk = bytes.fromhex(r["tls_psk_v1"]); es = hkdf_extract0(i, psk); eh = H(i, b"")
    bk = hkdf_expand_label(i, es, b"ext binder", eh, HL[i]); fk = hkdf_expand_label(i, bk, b"finished", b"", HL[i]); th = H(i, b"truncated ClientHello bytes go here")
    must(crypt_hkdf_expand_label(i, es, b"ext binder", eh, HL[i]) == bk and crypt_hkdf_expand_label(i, bk, b"finished", b"", HL[i]) == fk, "tls sched")
    ts.append({"hash": HN[i], "psk": hx(psk), "early_secret": hx(es), "binder_key_ext": hx(bk), "finished_key": hx(fk), "transcript_text": "truncated ClientHello bytes go here", "transcript_hash": hx(th), "binder": hx(HM(i, fk, th)), "confirmed_by": ["openssl (HKDF only)"]})
V["tls13_external_psk"] = ts

# ---------------------------------------------------------------- CRC32C
def crc32c(b):
    c = 0xffffffff
    for x in b:
        c ^= x
        for _ in range(8): c = (c >> 1) ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff
src = r'''#include <stdio.h>
#include <stdint.h>
int main(void){uint32_t c=~0u;int b;while((b=getchar())!=EOF)c=__builtin_ia32_crc32qi(c,b);printf("%08x",~c);return 0;}'''
d = tempfile.mkdtemp(); open(d + "/a.c", "w").write(src)
HW = subprocess.run(["gcc", "-O1", "-msse4.2", "-o", d + "/a", d + "/a.c"], capture_output=True).returncode == 0
cc = []
def addcrc(name, b, note=""):
    v = crc32c(b); conf = []
    if HW:
        o = subprocess.run([d + "/a"], input=b, capture_output=True, text=False).stdout.decode(); must(o == "%08x" % v, "crc " + name); conf.append("sse42")
    cc.append({"name": name, "input": hx(b), "len": len(b), "crc32c": "%08x" % v, "wire": hx(struct.pack("<I", v)), "note": note, "confirmed_by": conf})
addcrc("check_123456789", b"123456789", "standard check value e3069283"); must(cc[-1]["crc32c"] == "e3069283", "crc check")
addcrc("32_zero", bytes(32), "RFC 3720 B.4: 8a9136aa"); must(cc[-1]["crc32c"] == "8a9136aa", "rfc3720")
addcrc("32_ones", b"\xff" * 32, "RFC 3720 B.4: 62a8ab43"); must(cc[-1]["crc32c"] == "62a8ab43", "rfc3720")
hostid = bytes(range(16))
cdata = hostid + struct.pack("<H", 0xffff) + bytes(238) + SUB.encode().ljust(256, b"\0") + HOST.encode().ljust(256, b"\0") + bytes(256)
must(len(cdata) == 1024, "connect data")
def sqe_connect(cid, qid, sqsize, kato, icd):
    sgl = struct.pack("<QI3sB", 0, 1024, bytes(3), 0x01 if icd else 0x5A)
    return bytes([0x7f, 0x40]) + struct.pack("<H", cid) + bytes([1]) + bytes(19) + sgl + struct.pack("<HHHBBI", 0, qid, sqsize, 0, 0, kato) + bytes(12)
def sqe_auth(cid, send, n, icd):
    sgl = struct.pack("<QI3sB", 0, n, bytes(3), 0x01 if icd else 0x5A)
    return bytes([0x7f, 0x40]) + struct.pack("<H", cid) + bytes([5 if send else 6]) + bytes(19) + sgl + bytes([0, 1, 1, 0xE9]) + struct.pack("<I", n) + bytes(16)
for q in (sqe_connect(0, 0, 31, 120000, True), sqe_auth(1, True, 72, True), sqe_auth(2, False, 4096, False)): must(len(q) == 64, "sqe")
def capsule(sqe, data, hd, dd):
    pdo = 72 + (4 if hd else 0); plen = pdo + len(data) + (4 if dd and data else 0)
    f = (1 if hd else 0) | (2 if dd and data else 0)
    return bytes([4, f, 72, pdo if data else 0]) + struct.pack("<I", plen) + sqe
cap = capsule(sqe_connect(0, 0, 31, 120000, True), cdata, True, True)
addcrc("CapsuleCmd_Connect_header", cap, "72-byte header of a Connect capsule, HDGST+DDGST enabled: pdo=76, plen=1104; digest follows at byte 72")
addcrc("Connect_data", cdata, "DDGST over the 1024 bytes of Connect data")
neg = bytes.fromhex(dc[0]["messages"]["AUTH_Negotiate"])
addcrc("CapsuleCmd_AuthSend_header", capsule(sqe_auth(1, True, 72, True), neg, True, True), "Authentication Send, 72 bytes in capsule")
addcrc("AUTH_Negotiate_data", neg, "DDGST over the negotiate message")
addcrc("CapsuleCmd_AuthRecv_header", capsule(sqe_auth(2, False, 4096, False), b"", True, True), "no data: pdo=0, plen=76, only HDGSTF set")
cqe = struct.pack("<IIHHHH", 1 | (1 << 17), 0, 1, 0, 0, 0)
addcrc("CapsuleResp_Connect", bytes([5, 1, 24, 0]) + struct.pack("<I", 28) + cqe, "Connect response, CNTLID 1, ATR set, SQHD 1")
addcrc("R2T", bytes([9, 1, 24, 0]) + struct.pack("<IHHII", 28, 7, 3, 0, 4096) + bytes(4), "R2T cccid 7 ttag 3 offset 0 length 4096")
addcrc("C2HData_header", bytes([7, 7, 24, 28]) + struct.pack("<IHHII", 28 + 16 + 32 + 4, 2, 0, 0, 48) + bytes(4), "C2HData LAST, 48 bytes, both digests")
addcrc("H2CData_header", bytes([6, 7, 24, 28]) + struct.pack("<IHHII", 28 + 72 + 4, 1, 3, 0, 72) + bytes(4), "H2CData LAST, ttag 3, 72 bytes, both digests")
V["crc32c"] = cc
V["capsules"] = {"connect_sqe_incapsule": hx(sqe_connect(0, 0, 31, 120000, True)), "connect_data": hx(cdata), "auth_send_sqe_incapsule_72": hx(sqe_auth(1, True, 72, True)),
                 "auth_send_sqe_transport_sgl_72": hx(sqe_auth(1, True, 72, False)), "auth_receive_sqe_4096": hx(sqe_auth(2, False, 4096, False)),
                 "note": "byte 1 = 40h is PSDT 01b as Linux and SPDK send it; PSDT 10b (80h) is what Base 2.2 figure 95 asks for on Fabrics commands",
                 "icreq": hx(bytes([0, 0, 128, 0]) + struct.pack("<IHBBI", 128, 0, 0, 0, 0) + bytes(112)),
                 "failure2_incorrect_payload_tid_1234h": hx(bytes([0, 0xF0, 0, 0]) + struct.pack("<H", 0x1234) + bytes([1, 6])),
                 "failure1_auth_failed_tid_1234h": hx(bytes([0, 0xF1, 0, 0]) + struct.pack("<H", 0x1234) + bytes([1, 1])), "confirmed_by": []}
V["meta"]["cross_checks_passed"] = checks["ok"]; V["meta"]["harness_used"] = HAVE_H; V["meta"]["nvme_cli_used"] = HAVE_N
json.dump(V, open(OUT, "w"), indent=1)
print("ok,", checks["ok"], "checks;", {k: len(v) for k, v in V.items() if isinstance(v, list)})
