# SPDX-License-Identifier: GPL-2.0-or-later
# Every third-party library of the binary and every helper program of the image, from Debian's pinned sources,
# static, against our own musl. Run inside the build root by .ci/buildroot as `DEST=/cache/libs-... make -f deps.mk`;
# one target a package, so that a failure resumes there. $(DEST)/tc is musl, $(DEST)/lib and include the libraries,
# $(DEST)/bin the programs. The folder's name is a digest of this file, the pins and the compiler.

export LC_ALL := C
export TZ := UTC
export SOURCE_DATE_EPOCH := 1700000000
unexport DEST

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PACKAGES := musl mbedtls curl json-c expat util-linux lvm2 tpm2-tss cryptsetup libmicrohttpd libseccomp libcap2 \
	chrony dhcpcd e2fsprogs dropbear
D := $(DEST)/done
STAMPS := $(PACKAGES:%=$(D)/%)

P := $(DEST)
TC := $(DEST)/tc
MAP = -ffile-prefix-map=$(DEST)/build/$*=/$* -ffile-prefix-map=$(DEST)=/usr
COMMON = -g0 -fstack-protector-strong -fstack-clash-protection -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables -fno-unwind-tables $(MAP)
CFLAGS_FOR = $(or $(OPTIMISE),-Os) -fPIE $(COMMON)
LDFLAGS_FOR = -static-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,text -Wl,--gc-sections -Wl,--build-id=none -L$(P)/lib

all: $(STAMPS)
	@rm -rf $(DEST)/build

# begin: the folder unpacked and patched, output to a log, one line on the terminal at the end; on failure the log's end.
# Debian's patches touch generated files as well: their order in time tells make to leave them alone.
define begin
	mkdir -p $(DEST)/build $(DEST)/log $(DEST)/done $(DEST)/bin
	exec 3>&2 >$(DEST)/log/$*.log 2>&1
	started=$$SECONDS
	trap 'code=$$?; if [ $$code != 0 ]; then echo "  $*: failed; the end of $(DEST)/log/$*.log (in the cache folder):" >&3; \
		tail -n 25 $(DEST)/log/$*.log | sed "s/^/    | /" >&3; fi' EXIT
	echo "  building $*" >&3
	set -x
	rm -rf $(DEST)/build/$*
	mkdir $(DEST)/build/$*
	cd $(DEST)/build/$*
	tar -x --strip-components=1 --no-same-owner -f $(DEST)/sources/$*/orig.tar
	[ ! -e $(DEST)/sources/$*/debian.tar ] || tar -x --no-same-owner -f $(DEST)/sources/$*/debian.tar
	if [ -e debian/patches/series ]; then
		sed 's/#.*//; /^[[:space:]]*$$/d' debian/patches/series | while read -r name options; do
			patch -s -f $${options:--p1} -i debian/patches/$$name
		done
	fi
	for name in aclocal.m4 configure config.h.in config.hin; do
		find . -name $$name -exec touch {} +
	done
	find . -name Makefile.in -exec touch {} +
	export CC=$(TC)/bin/musl-gcc AR=gcc-ar RANLIB=gcc-ranlib NM=gcc-nm ARFLAGS=rcD
	export CFLAGS="$(CFLAGS_FOR)" CPPFLAGS="-I$(P)/include" LDFLAGS="$(LDFLAGS_FOR)"
	export PKG_CONFIG="pkg-config --static" PKG_CONFIG_LIBDIR=$(P)/lib/pkgconfig PKG_CONFIG_PATH=
	configure() { ./configure --prefix=$(P) --libdir=$(P)/lib --includedir=$(P)/include --sysconfdir=/etc --localstatedir=/var \
		--runstatedir=/run "$$@"; }
	with_cmake() { cmake -G "Unix Makefiles" -DCMAKE_INSTALL_PREFIX=$(P) -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_BUILD_TYPE=None \
		-DCMAKE_AR=/usr/bin/gcc-ar -DCMAKE_RANLIB=/usr/bin/gcc-ranlib -DCMAKE_FIND_ROOT_PATH=$(P) \
		-DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
		-DCMAKE_POSITION_INDEPENDENT_CODE=OFF "$$@"; }
	program() { for file in "$$@"; do strip -s -R .comment -R .note.gnu.property -o $(DEST)/bin/$${file##*/} $$file; done; }
endef

define end
	cd /
	rm -rf $(DEST)/build/$*
	cp $(DEST)/log/$*.log $@
	echo "  [$$(ls $(DEST)/done | wc -l)/$(words $(PACKAGES))] $* $$((SECONDS - started)) s" >&3
endef

# What needs what; everything needs musl.
$(filter-out %/musl,$(STAMPS)): $(D)/musl
$(D)/curl $(D)/tpm2-tss: $(D)/mbedtls
$(D)/cryptsetup: $(addprefix $(D)/,mbedtls json-c util-linux lvm2)
$(D)/chrony: $(addprefix $(D)/,libcap2 libseccomp)

# The C library. Its gcc wrapper knows -static-pie; the kernel's headers are the root's own.
$(D)/musl: $(D)/%:
	+@$(begin)
	export CC=gcc CFLAGS="-O2 $(COMMON)" LDFLAGS= CPPFLAGS=
	CROSS_COMPILE= ./configure --prefix=$(TC) --target=x86_64-linux-gnu --disable-shared
	make
	make install
	ln -sfn /usr/include/linux /usr/include/asm-generic /usr/include/mtd $(TC)/include/
	ln -sfn /usr/include/x86_64-linux-gnu/asm $(TC)/include/asm
	$(end)

# The only crypto library. -O2: snapshots and disk keys go through it. Its random bytes are getrandom(2)'s with this C library
# too: it would open /dev/urandom, at its start and later, and some of our roles have no files.
$(D)/mbedtls: OPTIMISE := -O2
$(D)/mbedtls: $(D)/%:
	+@$(begin)
	sed -i 's/(defined(__linux__) && defined(__GLIBC__))/defined(__linux__)/' library/entropy_poll.c
	grep -q '(defined(__linux__) || defined(__midipix__))' library/entropy_poll.c
	scripts/config.py set MBEDTLS_THREADING_C
	scripts/config.py set MBEDTLS_THREADING_PTHREAD
	with_cmake -DENABLE_PROGRAMS=OFF -DENABLE_TESTING=OFF -DUSE_SHARED_MBEDTLS_LIBRARY=OFF -DUSE_STATIC_MBEDTLS_LIBRARY=ON \
		-DMBEDTLS_FATAL_WARNINGS=OFF -DGEN_FILES=OFF .
	make
	make install
	$(end)

$(D)/json-c: $(D)/%:
	+@$(begin)
	mkdir out
	cd out
	with_cmake -DBUILD_SHARED_LIBS=OFF -DBUILD_STATIC_LIBS=ON -DBUILD_APPS=OFF -DBUILD_TESTING=OFF -DDISABLE_WERROR=ON \
		-DDISABLE_EXTRA_LIBS=ON -DENABLE_RDRAND=OFF ..
	make
	make install
	$(end)

$(D)/expat: $(D)/%:
	+@$(begin)
	[ ! -d expat ] || cd expat
	with_cmake -DEXPAT_SHARED_LIBS=OFF -DEXPAT_BUILD_TOOLS=OFF -DEXPAT_BUILD_EXAMPLES=OFF -DEXPAT_BUILD_TESTS=OFF \
		-DEXPAT_BUILD_DOCS=OFF -DEXPAT_BUILD_PKGCONFIG=ON .
	make
	make install
	$(end)

# libuuid and libblkid alone.
$(D)/util-linux: $(D)/%:
	+@$(begin)
	configure --disable-all-programs --enable-libuuid --enable-libblkid --disable-shared --enable-static --disable-nls --disable-asciidoc \
		--disable-bash-completion --disable-makeinstall-chown --disable-makeinstall-setuid --without-systemd --without-udev \
		--without-ncurses --without-python --without-econf
	make
	make install
	$(end)

# libdevmapper alone; without udev it makes and removes /dev/mapper nodes itself.
$(D)/lvm2: $(D)/%:
	+@$(begin)
	configure --with-usrlibdir=$(P)/lib --enable-static_link --disable-udev_sync --disable-udev_rules --disable-selinux --disable-readline \
		--disable-nls --disable-blkid_wiping --without-blkid --without-udev --without-systemd --disable-dmeventd --enable-pkgconfig \
		--disable-systemd-journal --disable-sd-notify --disable-app-machineid --without-libnvme --with-symvers=no --with-optimisation=
	make -C libdm ioctl/libdevmapper.a
	make -C libdm install_ioctl_static install_include install_pkgconfig
	$(end)

# HTTP, HTTPS and SigV4; every other protocol and feature off.
CURL_OFF := ftp file ipfs ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt manual docs unix-sockets ntlm \
	negotiate-auth kerberos-auth digest-auth tls-srp doh alt-svc hsts websockets netrc cookies form-api mime ech httpsrr ssls-export ares
CURL_WITHOUT := zlib brotli zstd libpsl libidn2 nghttp2 libssh2 librtmp libgsasl ca-bundle ca-path ca-fallback
$(D)/curl: $(D)/%:
	+@$(begin)
	configure --disable-shared --enable-static --with-mbedtls=$(P) --enable-http --enable-aws --enable-ipv6 --enable-proxy \
		--enable-threaded-resolver --enable-verbose $(CURL_OFF:%=--disable-%) $(CURL_WITHOUT:%=--without-%)
	make -C lib libcurl.la
	make -C lib install-libLTLIBRARIES
	make -C include install
	make install-pkgconfigDATA
	$(end)

# ESYS, MU and the TCTIs for a device and for the software TPM. Each TCTI defines the symbol its loader would look up in a
# shared object: in one static binary they need different names. As published, a point or a shared secret that begins with a zero byte
# is sent without it, and the TPM refuses about one salted session in a hundred.
$(D)/tpm2-tss: $(D)/%:
	+@$(begin)
	version=$$(readlink $(DEST)/sources/$*/orig.tar | sed -n 's/.*_\([0-9.]*\)\.orig\.tar.*/\1/p')
	test -n "$$version"
	sed -i "s/^git describe.*/echo $$version > VERSION/" bootstrap
	for tcti in device swtpm mssim; do sed -i "s/\bTss2_Tcti_Info\b/Tss2_Tcti_Info_$$tcti/" src/tss2-tcti/tcti-$$tcti.c; done
	sed -i 's/\bTss2_Tcti_Info\b/Tss2_Tcti_Info_tctildr/' src/tss2-tcti/tctildr.c
	sed -i 's/= mbedtls_mpi_size(&ecp_\(Q\.MBEDTLS_ACCESS([XY])\|z\));/= (ecp_group.pbits + 7) \/ 8;/' src/tss2-esys/esys_crypto_mbed.c
	[ "$$(grep -cF '= (ecp_group.pbits + 7) / 8;' src/tss2-esys/esys_crypto_mbed.c)" = 3 ]
	./bootstrap
	export CFLAGS="$$CFLAGS -std=gnu99"
	configure --with-crypto=mbed --disable-shared --enable-static --disable-fapi --disable-policy --enable-esys --enable-nodl \
		--enable-tcti-device --enable-tcti-swtpm --enable-tcti-mssim --disable-tcti-pcap --disable-tcti-libtpms --disable-tcti-cmd \
		--disable-tcti-spi-helper --disable-tcti-spidev --disable-tcti-spi-ltt2go --disable-tcti-spi-ftdi --disable-tcti-i2c-helper \
		--disable-tcti-i2c-ftdi --disable-doxygen-doc --disable-defaultflags --disable-unit --disable-integration \
		--with-maxloglevel=error --disable-vendor --with-udevrulesdir=$(P)/udev
	make
	make install
	$(end)

# The mbedTLS backend needs nothing from the kernel's AF_ALG interface. popt is demanded but not used by the library.
$(D)/cryptsetup: $(D)/%:
	+@$(begin)
	./autogen.sh
	configure --disable-shared --enable-static --disable-nls --disable-cryptsetup --disable-veritysetup --disable-integritysetup \
		--disable-ssh-token --disable-external-tokens --disable-udev --disable-selinux --disable-blkid --disable-asciidoc \
		--disable-pwquality --disable-passwdqc --disable-luks2-reencryption --disable-fips --with-tmpfilesdir=no \
		--with-luks2-lock-path=/run/cryptsetup --with-crypto_backend=mbedtls ac_cv_lib_popt_poptConfigFileToString=yes
	make
	make install
	$(end)

# As published, this version leaves the line end of a chunk's extension in the body, refuses white space before an extension, and does
# not notice that a client has ended right behind its last bytes.
$(D)/libmicrohttpd: $(D)/%:
	+@$(begin)
	change() { sed -i "$$1" src/microhttpd/connection.c; [ "$$(grep -cF "$$2" src/microhttpd/connection.c)" = $$3 ]; }
	change 's/chunk_size_line_len = i;/chunk_size_line_len = i + 1;/' 'line_len = i + 1;' 2
	change 's/allow_bws = (2 < discp_lvl)/allow_bws = (2 > discp_lvl)/' 'allow_bws = (2 > discp_lvl)' 1
	change 's/else if (i > (size_t) ret)/else if (0 == ret)/' 'else if (0 == ret)' 1
	configure --disable-shared --enable-static --disable-https --disable-doc --disable-examples --disable-tools --disable-curl \
		--disable-dauth --disable-postprocessor --disable-httpupgrade --disable-cookie --disable-nls --with-threads=posix
	make
	make install
	$(end)

$(D)/libseccomp: $(D)/%:
	+@$(begin)
	configure --disable-shared --enable-static --disable-python
	make -C src
	make -C src install
	make -C include install
	make install-pkgconfDATA
	$(end)

# For chronyd alone, which drops its capabilities but one with it.
$(D)/libcap2: $(D)/%:
	+@$(begin)
	make -C libcap CC="$$CC" AR="$$AR" RANLIB="$$RANLIB" prefix=$(P) lib=lib BUILD_CC=gcc SHARED=no PTHREADS=no DYNAMIC=no libcap.a
	install -m 644 -D libcap/libcap.a $(P)/lib/libcap.a
	install -m 644 -D libcap/include/sys/capability.h $(P)/include/sys/capability.h
	$(end)

# A fixed NTP era: otherwise the day of the build is in the binary. configure goes on without what it does not find.
$(D)/chrony: $(D)/%:
	+@$(begin)
	export CPPFLAGS="$$CPPFLAGS" CFLAGS="$$CFLAGS $$CPPFLAGS"
	./configure --prefix=/usr --sysconfdir=/etc --localstatedir=/var --chronyrundir=/run/chrony --disable-readline \
		--without-editline --disable-nts --without-nettle --without-gnutls --without-nss --without-tomcrypt --enable-scfilter \
		--disable-sechash --with-ntp-era=1700000000
	grep FEAT_PRIVDROP config.h
	grep FEAT_SCFILTER config.h
	make chronyd chronyc
	program chronyd chronyc
	$(end)

# No shell: Gantry itself is the script. The definitions of the options are inside the program, 245 (Azure's wireserver) as
# `azureendpoint`. As published, dhcpcd goes on with all its rights if its user, its chroot or its filter is missing: here that ends
# it. And started as its user, not as root, it would keep its capabilities in every process, give them to the script, and need
# CAP_SETUID and CAP_SETGID to become what it is: here only the privileged proxy has capabilities, and those two it does not need.
DHCPCD_END = { logerr("%s: not confined", __func__); _exit(EXIT_FAILURE); }
DHCPCD_SCRIPT = if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1) $(DHCPCD_END)
DHCPCD_DROP = struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3}; \
	struct __user_cap_data_struct none[2] = {{0}}; if (syscall(SYS_capset, \&head, none) == -1) $(DHCPCD_END)
$(D)/dhcpcd: $(D)/%:
	+@$(begin)
	change() { sed -i "$$2" src/$$1; [ "$$(grep -cF "$$3" src/$$1)" = $$4 ]; }
	change dhcpcd.c 's/^\tps_init(&ctx);/\tif (ps_init(\&ctx) == -1) goto exit_failure;/' '= -1) goto exit_failure;' 1
	change privsep.c 's/(errno != EPERM || ctx->options & DHCPCD_FORKED))/true)/' '    true)' 2
	change privsep.c 's/(setgroups(1, &pw->pw_gid) == -1 ||/((getuid() != pw->pw_uid \&\& setgroups(1, \&pw->pw_gid) == -1) ||/' getuid 1
	change privsep.c 's/logerr("%s: chroot: %s".*;/$(DHCPCD_END)/; s/logerr("failed to drop privileges");/$(DHCPCD_END)/' 'not confined' 2
	change privsep.c 's/^\tctx->options |= DHCPCD_PRIVSEP;/\t$(DHCPCD_SCRIPT)\n&/' PR_CAP_AMBIENT_CLEAR 1
	change privsep.c 's/^\tstruct rlimit rzero/\t$(DHCPCD_DROP)\n&/' SYS_capset 1
	change privsep.c 's,^#include <sys/wait.h>,&\n#include <linux/capability.h>\n#include <sys/prctl.h>\n#include <sys/syscall.h>,' linux/cap 1
	change privsep-linux.c '/^ps_seccomp_enter/,/^}/s/return -1;/$(DHCPCD_END)/' 'not confined' 1
	./configure --prefix=/ --sbindir=/sbin --libexecdir=/lib/dhcpcd --sysconfdir=/etc --dbdir=/run/dhcpcd --rundir=/run/dhcpcd \
		--enable-embedded --without-udev --without-dev --without-openssl --enable-privsep --privsepuser=dhcpcd --enable-seccomp \
		--enable-static --with-hook=resolv.conf
	make -C src dhcpcd
	nm src/dhcpcd | grep ' T ps_seccomp_enter'
	program src/dhcpcd
	$(end)

$(D)/e2fsprogs: $(D)/%:
	+@$(begin)
	export CFLAGS="$$CFLAGS $$CPPFLAGS"
	configure --disable-nls --disable-debugfs --disable-imager --disable-resizer --disable-defrag --disable-fsck --disable-e2initrd-helper \
		--disable-uuidd --disable-tdb --disable-fuse2fs --disable-rpath --disable-backtrace --disable-testio-debug \
		--without-libarchive --without-pthread --enable-libuuid --enable-libblkid
	make libs
	make -C misc mke2fs
	make -C e2fsck e2fsck
	program misc/mke2fs e2fsck/e2fsck
	$(end)

# Keys only: no passwords, no forwarding, no login records.
$(D)/dropbear: $(D)/%:
	+@$(begin)
	printf '#define %s 0\n' DROPBEAR_SVR_PASSWORD_AUTH DROPBEAR_X11FWD DROPBEAR_SVR_AGENTFWD DROPBEAR_SVR_LOCALTCPFWD \
		DROPBEAR_SVR_REMOTETCPFWD DROPBEAR_SVR_LOCALSTREAMFWD DROPBEAR_SVR_REMOTESTREAMFWD DROPBEAR_SMALL_CODE DROPBEAR_DSS DROPBEAR_3DES \
		DROPBEAR_SFTPSERVER INETD_MODE DO_MOTD > localoptions.h
	./configure --prefix=/usr --sysconfdir=/etc --enable-bundled-libtom --disable-zlib --disable-pam --disable-lastlog --disable-utmp \
		--disable-utmpx --disable-wtmp --disable-wtmpx --disable-pututline --disable-pututxline --disable-loginfunc --disable-harden
	make PROGRAMS="dropbear dropbearkey"
	program dropbear dropbearkey
	$(end)
