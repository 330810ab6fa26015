package holder

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"runtime"
)

// Code of each architecture, for syscall numbers see syscalls(2):
//
//	rt_sigaction(SIGCHLD, {SIG_IGN}, NULL, 8)
//	for ever: pause(), or where there is none ppoll(NULL, 0, NULL, NULL)
//
// It ends with the struct sigaction that it points to, 32 bytes of which the
// first, the handler, is SIG_IGN.

func codeAMD64() []byte {
	return pad([]byte{
		0xb8, 0x0d, 0, 0, 0, // mov eax, 13
		0xbf, 0x11, 0, 0, 0, // mov edi, 17
		0x48, 0x8d, 0x35, 0x17, 0, 0, 0, // lea rsi, [rip+23]
		0x31, 0xd2, // xor edx, edx
		0x41, 0xba, 0x08, 0, 0, 0, // mov r10d, 8
		0x0f, 0x05, // syscall
		0xb8, 0x22, 0, 0, 0, // mov eax, 34
		0x0f, 0x05, // syscall
		0xeb, 0xf7, // jmp -9
	}, 40)
}

func codeARM64() []byte {
	var code bytes.Buffer
	for _, instruction := range []uint32{
		0xd28010c8, // mov x8, #134
		0xd2800220, // mov x0, #17
		0x10000181, // adr x1, #48
		0xd2800002, // mov x2, #0
		0xd2800103, // mov x3, #8
		0xd4000001, // svc #0
		0xd2800000, // mov x0, #0
		0xd2800001, // mov x1, #0
		0xd2800002, // mov x2, #0
		0xd2800003, // mov x3, #0
		0xd2800928, // mov x8, #73
		0xd4000001, // svc #0
		0x17fffffa, // b -24
	} {
		_ = binary.Write(&code, binary.LittleEndian, instruction)
	}
	return pad(code.Bytes(), 56)
}

func pad(code []byte, sigaction int) []byte {
	out := make([]byte, sigaction+32)
	copy(out, code)
	out[sigaction] = 1
	return out
}

// address is where the program is loaded; it is a multiple of every page size.
const address = 0x400000

// Program returns the executable for this machine.
func Program() ([]byte, error) {
	switch runtime.GOARCH {
	case "amd64":
		return program(elf.EM_X86_64, codeAMD64()), nil
	case "arm64":
		return program(elf.EM_AARCH64, codeARM64()), nil
	default:
		return nil, fmt.Errorf("a shared process namespace is not possible on %s yet", runtime.GOARCH)
	}
}

func program(machine elf.Machine, code []byte) []byte {
	var header elf.Header64
	headers := uint64(binary.Size(header) + binary.Size(elf.Prog64{}))
	size := headers + uint64(len(code))
	header = elf.Header64{
		Ident: [elf.EI_NIDENT]byte{
			0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT),
		},
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: address + headers, Phoff: uint64(binary.Size(header)),
		Ehsize: uint16(binary.Size(header)), Phentsize: uint16(binary.Size(elf.Prog64{})), Phnum: 1,
	}
	load := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: address, Paddr: address, Filesz: size, Memsz: size, Align: 0x10000,
	}
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, header)
	_ = binary.Write(&out, binary.LittleEndian, load)
	out.Write(code)
	return out.Bytes()
}
