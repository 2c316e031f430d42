! @TITLE@
!
! Written by @VERSION@; the numbers are in @STEM@.par. Specification: SHA-256
! @SPEC@
!
! Momenta are p(0:3, @PARTICLE_COUNT@, events): E, px, py, pz in GeV. Particles:
@PARTICLES@
@CONTEXT_NOTE@! Answers are ans(@OUTPUTS@, events):
@ANSWERS@
!
! A network is read once and never written to afterwards: any number of threads may share one.
! Events with a momentum@OR_CONTEXT@ that is not finite get NaN, the others their numbers; the status is then
! lz_not_finite.
module lz_@MODULE@
  use, intrinsic :: iso_fortran_env, only: int8, int32, int64, real32, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite, ieee_quiet_nan, ieee_value
  implicit none
  private
  public :: lz_network, lz_load, lz_evaluate, lz_message, lz_setup, lz_smatrix

  integer, parameter, public :: lz_particles = @PARTICLE_COUNT@, lz_context = @CONTEXT_COUNT@, lz_outputs = @OUTPUTS@
  integer, parameter, public :: lz_ok = 0, lz_no_file = 1, lz_not_parameters = 2, lz_other_network = 3, &
    lz_truncated = 4, lz_corrupted = 5, lz_not_finite = 7, lz_not_loaded = 8

  integer, parameter :: wp = @KIND@, version = @FILE_VERSION@, numbers = @NUMBERS@, header = @HEADER@, block = 12
  character(64), parameter :: spec = "@SPEC@"
  character(64), parameter :: steps = "@LAYOUT@"

  type :: lz_network
    private
    real(real64), allocatable :: exact(:)
    real(wp), allocatable :: weight(:)
  end type lz_network

  interface lz_smatrix
    module procedure smatrix, smatrix_batch
  end interface lz_smatrix

  ! That of lz_setup, which is called once, before threads start.
  type(lz_network), save :: process_network

contains

  subroutine lz_evaluate(network, p@CONTEXT_ARGUMENT@, ans, status)
    ! Answers of any number of events.
    type(lz_network), intent(in) :: network
    real(real64), intent(in) :: p(0:, :, :)@CONTEXT_DUMMY@
    real(real64), intent(out) :: ans(:, :)
    integer, intent(out) :: status
    integer :: start, final, e
    logical :: finite
    status = lz_ok
    if (.not. allocated(network%exact)) then
      ans = ieee_value(0.0_real64, ieee_quiet_nan)
      status = lz_not_loaded
      return
    end if
    do start = 1, size(p, 3), block
      final = min(start + block - 1, size(p, 3))
      call evaluate_block(network%exact, network%weight, final - start + 1, p(:, :, start:final)@CONTEXT_BLOCK@, &
        ans(:, start:final))
      do e = start, final
        finite = all(ieee_is_finite(p(:, :, e)))@CONTEXT_FINITE@
        if (finite) cycle
        ans(:, e) = ieee_value(0.0_real64, ieee_quiet_nan)
        status = lz_not_finite
      end do
    end do
  end subroutine lz_evaluate

  recursive subroutine evaluate_block(exact, weight, events, p@CONTEXT_ARGUMENT@, ans)
    ! Answers of at most `block` events. Numbers of step k are in v<k>. Recursive, so that large arrays are no static ones,
    ! which threads would share.
    real(real64), intent(in) :: exact(*)
    real(wp), intent(in) :: weight(*)
    integer, intent(in) :: events
    real(real64), intent(in) :: p(4 * lz_particles, events)@CONTEXT_BLOCK_DUMMY@
    real(real64), intent(out) :: ans(lz_outputs, events)
    integer :: e
@DECLARATIONS@

@STEPS_CODE@
  end subroutine evaluate_block

  ! ---- tools ----------------------------------------------------------------------------------

@TOOLS@
  ! ---- the parameter file ---------------------------------------------------------------------

  subroutine lz_load(network, parameter_file, status)
    ! Read a parameter file; the network is empty unless the status is lz_ok.
    type(lz_network), intent(out) :: network
    character(*), intent(in) :: parameter_file
    integer, intent(out) :: status
    integer :: unit, failed
    integer(int64) :: bytes
    integer(int8), allocatable :: content(:)
    open (newunit=unit, file=parameter_file, access="stream", form="unformatted", status="old", action="read", &
      iostat=failed)
    status = lz_no_file
    if (failed /= 0) return
    inquire (unit=unit, size=bytes)
    allocate (content(max(bytes, 0_int64)))
    read (unit, iostat=failed) content
    close (unit)
    if (failed /= 0) return
    call read_content(content, network, status)
  end subroutine lz_load

  subroutine read_content(content, network, status)
    integer(int8), intent(in) :: content(:)
    type(lz_network), intent(inout) :: network
    integer, intent(out) :: status
    integer, parameter :: least = 8
    integer :: expected
    integer(int32) :: sizes(4), found
    integer(int64) :: count
    expected = header + 8 * numbers + 4
    status = lz_not_parameters
    if (size(content) < least) return
    if (as_text(content(1:8)) /= "LZPARAM" // achar(10)) return
    status = lz_truncated
    if (size(content) < header) return
    sizes = transfer(content(9:24), sizes)
    count = transfer(content(25:32), count)
    status = lz_not_parameters
    if (sizes(1) /= version) return
    status = lz_other_network
    if (any(sizes(2:) /= [lz_particles, lz_context, lz_outputs]) .or. count /= numbers) return
    if (as_text(content(33:96)) /= spec .or. as_text(content(97:160)) /= steps) return
    status = lz_truncated
    if (size(content) /= expected) return
    found = transfer(content(expected - 3:expected), found)
    status = lz_corrupted
    if (find_crc(content(:expected - 4)) /= found) return
    allocate (network%exact(numbers))
    network%exact = transfer(content(header + 1:expected - 4), 0.0_real64, numbers)
    network%weight = real(network%exact, wp)
    status = lz_ok
  end subroutine read_content

  pure function as_text(bytes) result(text)
    integer(int8), intent(in) :: bytes(:)
    character(size(bytes)) :: text
    integer :: k
    do k = 1, size(bytes)
      text(k:k) = achar(iand(int(bytes(k), int32), 255))
    end do
  end function as_text

  pure function find_crc(bytes) result(crc)
    integer(int8), intent(in) :: bytes(:)
    integer(int32), parameter :: polynomial_bits = int(z'6db88320', int32)
    integer(int32) :: crc, mask
    integer :: k, bit
    ! The highest bit of edb88320 does not fit a literal.
    mask = ibset(polynomial_bits, 31)
    crc = not(0_int32)
    do k = 1, size(bytes)
      crc = ieor(crc, iand(int(bytes(k), int32), 255))
      do bit = 1, 8
        if (btest(crc, 0)) then
          crc = ieor(ishft(crc, -1), mask)
        else
          crc = ishft(crc, -1)
        end if
      end do
    end do
    crc = not(crc)
  end function find_crc

  pure function lz_message(status) result(message)
    integer, intent(in) :: status
    character(:), allocatable :: message
    select case (status)
    case (lz_ok)
      message = "no error"
    case (lz_no_file)
      message = "the parameter file cannot be opened"
    case (lz_not_parameters)
      message = "the file is not a parameter file of this version and byte order"
    case (lz_other_network)
      message = "the parameter file belongs to the source code of another network"
    case (lz_truncated)
      message = "the parameter file has not the length that it should have"
    case (lz_corrupted)
      message = "the parameter file is damaged: its checksum is wrong"
    case (lz_not_finite)
      message = "some momenta are not finite, and their answers are NaN"
    case (lz_not_loaded)
      message = "no parameter file was read"
    case default
      message = "unknown status"
    end select
  end function lz_message

  ! ---- with one network of the process --------------------------------------------------------

  subroutine lz_setup(parameter_file, status)
    ! Read the network of lz_smatrix.
    character(*), intent(in) :: parameter_file
    integer, intent(out) :: status
    type(lz_network) :: network
    call lz_load(network, parameter_file, status)
    if (status == lz_ok) process_network = network
  end subroutine lz_setup

  subroutine smatrix(p@CONTEXT_ARGUMENT@, ans)
    ! One event as MadGraph calls it; NaN as long as no network was read.
    real(real64), intent(in) :: p(0:3, lz_particles)@CONTEXT_ONE_DUMMY@
    real(real64), intent(out) :: ans@ANS_ONE@
    real(real64) :: found(lz_outputs, 1)
    integer :: status
    found = 0
    call lz_evaluate(process_network, reshape(p, [4, lz_particles, 1])@CONTEXT_ONE@, found, status)
    ans = found@FOUND_ONE@
  end subroutine smatrix

  subroutine smatrix_batch(p@CONTEXT_ARGUMENT@, ans)
    ! Many events.
    real(real64), intent(in) :: p(0:, :, :)@CONTEXT_DUMMY@
    real(real64), intent(out) :: ans(:, :)
    integer :: status
    call lz_evaluate(process_network, p@CONTEXT_ARGUMENT@, ans, status)
  end subroutine smatrix_batch

end module lz_@MODULE@
