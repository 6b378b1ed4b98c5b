# shellcheck shell=bash
# What ./quickstart and ./check share. To be sourced, under `set -euo pipefail`; works on Debian and Ubuntu.
#
#   ft_install GROUP...    installs the missing packages of these groups (build, lint, ci)
#   ft_setup GROUP...      the same, then picks the preset:
#                            FT_PRESET  cuda or cpu (kept as it is where the caller or the user has set it)
#   ft_configure PRESET [-D...]    cmake --preset, quiet unless it fails
#   ft_build PRESET [TARGET...]    cmake --build; on a terminal with its progress line, else quiet unless it fails
#
# Packages are installed as root or with sudo; otherwise they are unpacked into .deps/, which changes nothing outside of
# the source folder and leaves with it. Nothing asks a question. When nothing is missing, nothing is run but dpkg-query.

FT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$FT_ROOT" || exit
export LC_ALL=C.UTF-8
# Compiler results are shared between checkouts in different folders.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$FT_ROOT}" CCACHE_NOHASHDIR=1

# The one list of packages. Columns: group; must or nice (works without); package, or several (the first that the
# archive has); the command that does as well, where it is there already, or -.
ft_packages=(
  'build must g++                                     g++'
  'build must cmake                                   cmake'
  'build must ninja-build                             ninja'
  'build nice ccache                                  ccache'
  'build must libhdf5-dev                             -'
  'build must libdnnl-dev                             -'
  'build must libstb-dev                              -'
  'build must libfmt-dev                              -'
  'build must libcli11-dev                            -'
  'build must nlohmann-json3-dev                      -'
  'build must libtomlplusplus-dev                     -'
  'build must libssl-dev                              -'
  'build must zlib1g-dev                              -'
  'build nice libcurl4t64|libcurl4                    -'
  'build nice libjpeg62-turbo-dev|libjpeg-turbo8-dev  -'
  'build must libgtest-dev                            -'
  'build must libbenchmark-dev                        -'
  'lint  nice clang-format-19                         clang-format-19'
  'lint  nice clang-tidy-19                           clang-tidy-19'
  'lint  nice shellcheck                              shellcheck'
  'ci    nice debootstrap                             debootstrap'
)

ft_deps=$FT_ROOT/.deps
FT_CMAKE_ARGS=()

say() { printf '%s\n' "$*"; }

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Parallel jobs: one a core, and 1.5 GiB of free memory for each.
ft_jobs() {
  local cores room
  cores=$(nproc)
  room=$(awk '/^MemAvailable:/ {print int($2 / 1572864)}' /proc/meminfo 2>/dev/null || true)
  [[ -n $room ]] || room=$cores
  ((room >= 1)) || room=1
  say $((room < cores ? room : cores))
}

ft_os() { (. /etc/os-release 2>/dev/null && say "${ID:-unknown}-${VERSION_ID:-}") || say unknown; }

# Lines of ft_packages, of the groups named, whose package is not there.
ft_missing() {
  local line group need names tool name found installed
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null |
    awk '$2 == "installed" {print $1}' || true)
  installed+=$'\n'$(sed -n "s/^$(ft_os) //p" "$ft_deps/packages" 2>/dev/null || true)
  for line in "${ft_packages[@]}"; do
    read -r group need names tool <<<"$line"
    [[ " $* " == *" $group "* ]] || continue
    [[ $tool != - ]] && command -v "$tool" >/dev/null && continue
    found=
    for name in ${names//|/ }; do
      [[ $'\n'$installed$'\n' == *$'\n'$name$'\n'* ]] && found=1
    done
    [[ -n $found ]] || say "$need $names"
  done
}

# Makes what lies in .deps/ visible to cmake, to the linker, and to the programs when they run.
ft_use_deps() {
  [[ -f $ft_deps/packages ]] && command -v g++ >/dev/null || return 0
  local arch libs flags
  arch=$(g++ -print-multiarch)
  libs=("$ft_deps/usr/lib/$arch" "$ft_deps/lib/$arch")
  export PATH="$ft_deps/usr/bin:$PATH"
  export LD_LIBRARY_PATH="${libs[0]}:${libs[1]}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export CMAKE_PREFIX_PATH="$ft_deps/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
  # RPATH, not RUNPATH: it also serves what these libraries need themselves.
  flags='-Wl,--disable-new-dtags'
  FT_CMAKE_ARGS=("-DCMAKE_PREFIX_PATH=$ft_deps/usr" "-DCMAKE_BUILD_RPATH=${libs[0]};${libs[1]}"
    "-DCMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES=$ft_deps/usr/include/$arch"
    "-DCMAKE_EXE_LINKER_FLAGS=$flags" "-DCMAKE_SHARED_LINKER_FLAGS=$flags" "-DCMAKE_MODULE_LINKER_FLAGS=$flags")
}

ft_has_package() { [[ -n $("${ft_apt_cache[@]}" show "$1" 2>/dev/null) ]]; }

# The alternative that the archive has; nothing where it has none.
ft_resolve() {
  local name
  for name in ${1//|/ }; do
    ft_has_package "$name" && say "$name" && return 0
  done
  return 1
}

# Packages as root or through sudo ($@: nothing, or sudo -n). One try for all, then one each, so that a single package
# that cannot be had does not keep back the others.
ft_install_packages() {
  local get=("$@" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120) name
  local install=("${get[@]}" install --no-install-recommends)
  "${get[@]}" update </dev/null >>"$ft_log" 2>&1 || true
  ft_apt_cache=(apt-cache)
  local names=()
  for name in "${ft_wanted[@]}"; do
    name=$(ft_resolve "$name") && names+=("$name")
  done
  ((${#names[@]})) || return 0
  "${install[@]}" "${names[@]}" </dev/null >>"$ft_log" 2>&1 && return 0
  for name in "${names[@]}"; do
    "${install[@]}" "$name" </dev/null >>"$ft_log" 2>&1 || true
  done
}

# Downloads the packages named, and what they need, into the current folder.
ft_download() {
  local base='^(libc6|libc6-dev|libc-bin|libc-dev-bin|libgcc-s1|libstdc\+\+6|gcc-[0-9]+-base|libcrypt1)$' list deb more
  mapfile -t list < <("${ft_apt_get[@]}" install -s --no-install-recommends "$@" 2>>"$ft_log" | awk '/^Inst / {print $2}')
  while ((${#list[@]})); do
    "${ft_apt_get[@]}" download "${list[@]}" </dev/null >>"$ft_log" 2>&1 || return 1
    # A -dev package names its library with the exact version: take that one along even where the system has it, as
    # the links and the CMake files of the -dev package expect it beside them.
    more=$(for deb in *.deb; do dpkg-deb -f "$deb" Depends; echo; done | tr ',' '\n' |
      sed -nE 's/^ *([^ :]+)(:any)? \(= .*/\1/p' | sort -u | grep -vE "$base" || true)
    list=()
    for deb in $more; do
      compgen -G "${deb}_*.deb" >/dev/null || list+=("$deb")
    done
  done
}

# Packages for a plain user: unpacked into .deps/, with apt's lists and cache there as well.
ft_unpack_packages() {
  local options=(-o "Dir::State::Lists=$ft_deps/apt/lists" -o "Dir::Cache=$ft_deps/apt/cache" -o Debug::NoLocking=1)
  ft_apt_get=(apt-get -q "${options[@]}")
  ft_apt_cache=(apt-cache "${options[@]}")
  mkdir -p "$ft_deps/apt/lists/partial" "$ft_deps/apt/cache/archives/partial" "$ft_deps/debs"
  "${ft_apt_get[@]}" update </dev/null >>"$ft_log" 2>&1 || true
  local name names=() done_names=() deb link target folder
  for name in "${ft_wanted[@]}"; do
    # Left out: ccache from here does not run outside of this script; a compiler is no use without its system headers.
    [[ $name == ccache || $name == g++ ]] && continue
    name=$(ft_resolve "$name") && names+=("$name")
  done
  cd "$ft_deps/debs" || return
  if ((${#names[@]})) && ft_download "${names[@]}"; then
    done_names=("${names[@]}")
  else
    for name in "${names[@]}"; do
      ft_download "$name" && done_names+=("$name")
    done
  fi
  for deb in *.deb; do
    [[ -e $deb ]] && dpkg-deb -x "$deb" "$ft_deps"
  done
  cd "$FT_ROOT" || return
  # Links whose target is installed in the system rather than unpacked here.
  find "$ft_deps/usr" "$ft_deps/lib" -xtype l 2>/dev/null | while IFS= read -r link; do
    target=$(readlink "$link")
    if [[ $target != /* ]]; then
      folder=${link#"$ft_deps"}
      target=${folder%/*}/$target
    fi
    if [[ -e $ft_deps$target ]]; then
      ln -sfn "$ft_deps$target" "$link"
    elif [[ -e $target ]]; then
      ln -sfn "$target" "$link"
    fi
  done
  rm -rf "$ft_deps/debs" "$ft_deps/apt/cache"
  for name in "${done_names[@]}"; do say "$(ft_os) $name" >>"$ft_deps/packages"; done
}

# How packages get installed here: root, sudo, user, or none (no apt).
ft_install_way() {
  if ! command -v apt-get >/dev/null; then say none
  elif [[ $(id -u) == 0 ]]; then say root
  elif sudo -n true 2>/dev/null; then say sudo
  else say user; fi
}

# One line about what is still missing, and how to go on. Fails where a package is one that we cannot build without.
ft_report_missing() {  # GROUP...
  local left must=() nice=() need names hint
  mapfile -t left < <(ft_missing "$@")
  for line in "${left[@]}"; do
    read -r need names <<<"$line"
    if [[ $need == must ]]; then must+=("${names%%|*}"); else nice+=("${names%%|*}"); fi
  done
  if ((${#nice[@]})); then
    say "setup: going on without ${nice[*]} (could not be installed; optional)."
  fi
  if ((${#must[@]} == 0)); then
    if ((${#nice[@]})); then
      mkdir -p "$ft_deps"
      printf '%s\n' "${nice[@]}" >"$ft_deps/unavailable"
    fi
    return 0
  fi
  hint="sudo apt-get update && sudo apt-get install -y ${must[*]}"
  [[ $(id -u) == 0 ]] && hint=${hint//sudo /}
  command -v apt-get >/dev/null || hint="install what your system calls ${must[*]} (apt-get is not here)"
  say "setup: could not install ${must[*]}: $(ft_reason). Go on with:  $hint  then run the same command again." >&2
  return 1
}

ft_reason() {
  local line
  line=$(grep -m 1 -E '^(E|Err|W):.*Failed to fetch' "$ft_log" || grep -m 1 -E '^(E|Err):' "$ft_log" || true)
  say "${line:-apt knows no such package (are its sources set up?)}"
}

# Optional packages that could not be had within the last day are not asked for again.
ft_still_wanted() {
  local need names
  while read -r need names; do
    [[ $need == nice && -n $(find "$ft_deps/unavailable" -mtime -1 2>/dev/null) ]] &&
      grep -qxF "${names%%|*}" "$ft_deps/unavailable" && continue
    say "$names"
  done
}

ft_install() {  # GROUP...
  local way start=$SECONDS
  mkdir -p "$FT_ROOT/build"
  ft_log=$FT_ROOT/build/setup.log
  : >"$ft_log"
  ft_use_deps
  mapfile -t ft_wanted < <(ft_missing "$@" | ft_still_wanted)
  if ((${#ft_wanted[@]})); then
    way=$(ft_install_way)
    say "setup: ${#ft_wanted[@]} packages are missing: ${ft_wanted[*]%%|*}"
    case $way in
      root) say 'setup: installing them with apt-get'; ft_install_packages ;;
      sudo) say 'setup: installing them with sudo apt-get'; ft_install_packages sudo -n ;;
      user) say 'setup: no root and no sudo without a password, so unpacking them into .deps/'
        ft_unpack_packages
        ft_use_deps ;;
      none) ;;
    esac
    ft_report_missing "$@" || return 1
    say "setup: packages done in $(clock $((SECONDS - start)))"
  else
    say 'setup: all packages are there'
  fi
}

ft_setup() {  # GROUP...
  ft_install "$@" && ft_pick_preset
}

# The first folder of the usual ones with cuDNN's header. $1: the toolkit.
ft_cudnn_include() {
  local dir
  for dir in ${CUDNN_ROOT:+"$CUDNN_ROOT/include"} "$1/include" /usr/include /usr/include/*-linux-gnu; do
    [[ -f $dir/cudnn_version.h ]] && say "$dir" && return 0
  done
  return 1
}

# Why the CUDA backend cannot be built here; nothing where it can. Sets ft_nvcc and ft_cuda_found.
ft_why_not_cuda() {
  ft_nvcc=${CUDACXX:-$(command -v nvcc || true)}
  [[ -n $ft_nvcc ]] || ft_nvcc=/usr/local/cuda/bin/nvcc
  ft_no_cuda=
  ft_cuda_found=
  local version include major probe
  if [[ ! -f tensor/cuda/CMakeLists.txt ]]; then ft_no_cuda='this tree has no CUDA backend yet'; return; fi
  if ! version=$("$ft_nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9.]+),.*/\1/p') || [[ -z $version ]]; then
    ft_no_cuda='no nvcc on PATH or in /usr/local/cuda'; return
  fi
  if [[ $(printf '%s\n' 12.8 "$version" | sort -V | head -n 1) != 12.8 ]]; then
    ft_no_cuda="nvcc is $version, 12.8 or newer is needed"; return
  fi
  if ! include=$(ft_cudnn_include "$(dirname "$(dirname "$(readlink -f "$ft_nvcc")")")"); then
    ft_no_cuda="CUDA $version is here, but no cuDNN headers (cudnn_version.h; CUDNN_ROOT names another folder)"; return
  fi
  major=$(sed -nE 's/^#define CUDNN_MAJOR +([0-9]+).*/\1/p' "$include/cudnn_version.h")
  if ((${major:-0} < 9)); then ft_no_cuda="cuDNN is ${major:-unknown}, 9 or newer is needed"; return; fi
  ft_cuda_found="CUDA $version and cuDNN $major found"
  [[ -f build/cuda/CMakeCache.txt ]] && return  # worked before
  probe=$(mktemp -d)
  say '__global__ void k() {}' >"$probe/k.cu"
  "$ft_nvcc" -std=c++17 -c "$probe/k.cu" -o "$probe/k.o" >>"$ft_log" 2>&1 ||
    ft_no_cuda="nvcc $version cannot compile with this g++ (see build/setup.log)"
  rm -rf "$probe"
}

ft_pick_preset() {
  if [[ -n ${FT_PRESET:-} ]]; then
    say "setup: preset $FT_PRESET (asked for)"
    [[ $FT_PRESET == cuda ]] && ft_why_not_cuda && export CUDACXX=$ft_nvcc
    return 0
  fi
  ft_why_not_cuda
  if [[ -z $ft_no_cuda ]]; then
    FT_PRESET=cuda
    export CUDACXX=$ft_nvcc
    say "setup: preset cuda ($ft_cuda_found)"
  else
    FT_PRESET=cpu
    say "setup: preset cpu ($ft_no_cuda)"
  fi
}

# Runs a command with its output in a file, and shows how far it is once a minute; shows the end of it where it fails.
ft_quietly() {  # LOG COMMAND...
  local log=$1 beat status=0
  shift
  mkdir -p "$(dirname "$log")"
  : >"$log"
  while sleep 60 >/dev/null 2>&1; do tail -n 1 "$log" | cut -c 1-100; done &
  beat=$!
  "$@" >"$log" 2>&1 || status=$?
  { kill "$beat" && wait "$beat"; } 2>/dev/null || true
  ((status)) || return 0
  tail -n 60 "$log" >&2
  say "failed: $* (all of its output: $log)" >&2
  return 1
}

ft_configure() {  # PRESET [-D...]
  local preset=$1
  shift
  ft_quietly "build/$preset/configure.log" cmake --preset "$preset" "${FT_CMAKE_ARGS[@]}" "$@"
}

ft_build() {  # PRESET [TARGET...]
  local preset=$1
  shift
  local command=(cmake --build --preset "$preset" -j "$(ft_jobs)")
  (($#)) && command+=(--target "$@")
  if [[ -t 1 ]]; then "${command[@]}"; else ft_quietly "build/$preset/build.log" "${command[@]}"; fi
}
